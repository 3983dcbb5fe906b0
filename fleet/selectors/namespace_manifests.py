"""Manifests of a namespace: its admission policy, its quota, and the queue of a class in it.

They follow from all pools, nodes and requests, also those that the reader may not see: applied, they count for every user in the
namespace. No name of a node, a cluster or a workload that the reader may not see is in them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from fleet.domain.access_requests.workflow import GRANTED
from fleet.domain.classes.requirements import ClassInPool
from fleet.domain.classes.workload import ClassSpec, sized
from fleet.domain.manifests.parameters import CLAIM, Parameters
from fleet.domain.manifests.quota import Grant, new_grant
from fleet.domain.manifests.render import Document, namespace_manifest
from fleet.domain.quantities import plural
from fleet.domain.refusals import FieldError
from fleet.models import AccessRequest, Team, scope
from fleet.selectors import declarations
from fleet.selectors.placement import headroom as rooms
from fleet.selectors.placement import manifest_placements as placements

OF_NAMESPACE = ("policy", "quota", "kueue")
"""Kinds that follow from every request granted in a namespace."""


@dataclass(frozen=True, slots=True)
class _Granted:
    """Requests granted in a namespace, by version of the class and number, and the numbers of those that the reader may see."""

    rows: list[AccessRequest]
    seen: frozenset[int]


def _granted_in(namespace: str) -> _Granted:
    """Returns what is granted. Raises FieldError where the reader may not know: no team of the reader has the namespace."""
    granted = AccessRequest.objects.filter(namespace=namespace, state__in=sorted(GRANTED))
    rows = granted.select_related("class_version__workload_class").order_by("class_version__number", "pk")
    if not scope.key():
        all_rows = list(rows)
        return _Granted(all_rows, frozenset(row.pk for row in all_rows))
    seen = frozenset(granted.values_list("pk", flat=True))
    with scope.unscoped():
        every = list(rows)
    if len(every) > len(seen) and not Team.objects.filter(namespaces__contains=[namespace]).exists():
        raise FieldError("namespace", f"What is granted in namespace {namespace} is not visible to you: no team of yours has it.")
    return _Granted(every, seen)


def namespace_documents(
    class_spec: ClassSpec, kind: str, parameters: Parameters, stock: rooms.Stock, pool: str = "", *, request: int | None = None
) -> list[Document]:
    """Returns the documents of one of OF_NAMESPACE. Raises FieldError.

    Where nothing is granted yet they are of this class and these parameters alone. Otherwise the size, pool and replicas chosen
    on a page change nothing: they are not granted. A queue is of the class alone, in all of its granted versions.
    """
    granted = _granted_in(parameters.namespace)
    everything = rooms.whole(stock)
    if kind == "policy":
        return _policy(class_spec, parameters, everything, granted)
    rows = [(row, declarations.spec_of(row.class_version)) for row in granted.rows]
    if kind == "kueue":
        rows = [(row, spec) for row, spec in rows if spec.slug == class_spec.slug]
    with scope.unscoped():
        grants = [
            Grant(
                id=str(row.pk),
                name=row.name if row.pk in granted.seen else "",
                replicas=row.replicas,
                in_pools=_in_pools(sized(spec, row.gpus) if row.gpus else spec, kind, everything, pool),
                version=row.class_version.number,
            )
            for row, spec in rows
        ]
        if not grants:
            grants = [new_grant(_in_pools(class_spec, kind, everything, pool), parameters, request)]
    return namespace_manifest(kind, grants, parameters)


def _in_pools(class_spec: ClassSpec, kind: str, stock: rooms.Stock, pool: str) -> tuple[ClassInPool, ...]:
    """Returns the class in its pools: a queue is of the one that is asked for, or else of the first that offers such slots."""
    if kind == "kueue":
        return asked_of(class_spec, stock, pool) or asked_of(class_spec, stock)
    return rooms.class_in_pools(class_spec, stock)


def _policy(class_spec: ClassSpec, parameters: Parameters, everything: rooms.Stock, granted: _Granted) -> list[Document]:
    """Returns the policy of every version that is granted, and of no other; of this class where nothing is granted yet."""
    versions = {row.class_version_id: row.class_version for row in granted.rows}
    if not versions and (newest := declarations.newest_versions().get(class_spec.slug)):
        versions[newest.pk] = newest
    classes = [
        rooms.admitted(declarations.spec_of(row), placements.kept(row.workload_class), everything) for row in versions.values()
    ]
    return namespace_manifest("policy", (), parameters, classes, rooms.device_class_names(everything))


def asked_of(class_spec: ClassSpec, stock: rooms.Stock, pool: str = "") -> tuple[ClassInPool, ...]:
    """Returns the class in its pools, or in the one of this slug; pools that advertise no such slots now come last."""
    asked = rooms.class_in_pools(class_spec, stock)
    if pool:
        return tuple(in_pool for in_pool in asked if in_pool.pool.slug == pool)
    return tuple(sorted(asked, key=lambda in_pool: bool(in_pool.problem)))


def granted_version(namespace: str) -> str:
    """Returns a text that changes with what is granted in a namespace. One query."""
    with scope.unscoped():
        rows = AccessRequest.objects.filter(namespace=namespace, state__in=sorted(GRANTED)).order_by("pk")
        return hashlib.sha256(repr(list(rows.values_list("pk", "replicas", "gpus", "class_version"))).encode()).hexdigest()[:16]


def namespace_note(kind: str, namespace: str) -> str:
    """Returns what a manifest of the namespace follows from, and what it cannot see, as sentences; empty for other kinds."""
    if kind not in OF_NAMESPACE:
        return ""
    number = len(_granted_in(namespace).rows)
    if number:
        text = f"Follows from what is granted in namespace {namespace} ({plural(number, 'request')}), not from the fields above."
    else:
        text = f"Nothing is granted in namespace {namespace} yet: this is what it will be with this workload alone."
    if kind == "policy":
        text += (
            f" Pods claim GPUs through DRA under the name {CLAIM}, by a template. Claims under other names are for other "
            "devices, such as network cards: they are not compared with a class, and the policy over claims keeps GPUs out."
        )
    return text
