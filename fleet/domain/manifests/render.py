"""Every kind of manifest, which of them a class can have, and their YAML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import yaml

from fleet.domain.classes.requirements import ClassInPool
from fleet.domain.dra.class_names import NO_NAMES, ClassNames
from fleet.domain.manifests import parameters as given
from fleet.domain.manifests.admission import namespace_policy, policy
from fleet.domain.manifests.dra import claim_template
from fleet.domain.manifests.kueue import kueue
from fleet.domain.manifests.parameters import Parameters
from fleet.domain.manifests.pods import deployment, leaderworkerset, pod
from fleet.domain.manifests.quota import Grant, namespace_quota, new_grant, quota
from fleet.domain.refusals import FieldError

Document = dict[str, Any]


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of manifest: data and a small pure function over the pools of a class, the preferred pool first."""

    id: str
    title: str
    build: Callable[[Sequence[ClassInPool], Parameters], list[Document]]
    refuses: Callable[[ClassInPool], str]
    """Why a class has no such manifest, as a sentence; empty where it has."""


def _always(in_pool: ClassInPool) -> str:
    return ""


def _one_pod(in_pool: ClassInPool) -> str:
    pods = in_pool.requirement.pods
    return f"A replica is {pods} pods that belong together: use a LeaderWorkerSet." if pods > 1 else ""


def _several_pods(in_pool: ClassInPool) -> str:
    return "" if in_pool.requirement.pods > 1 else "A replica is one pod: use a Deployment."


def _by_name(in_pool: ClassInPool) -> str:
    return (
        "Kueue counts DRA devices only by a mapping in its own configuration, which Muster does not write." if in_pool.dra else ""
    )


def _by_claim(in_pool: ClassInPool) -> str:
    return (
        ""
        if in_pool.dra
        else f"Pool {in_pool.pool.slug} advertises its GPUs by resource name ({in_pool.resource}), not through DRA."
    )


KINDS: tuple[Kind, ...] = (
    Kind(id="pod", title="Pod", build=lambda in_pools, row: pod(in_pools[0], row), refuses=_one_pod),
    Kind(
        id="deployment",
        title="Deployment",
        build=lambda in_pools, item: deployment(in_pools[0], item),
        refuses=_one_pod,
    ),
    Kind(
        id="leaderworkerset",
        title="LeaderWorkerSet",
        build=lambda in_pools, entry: leaderworkerset(in_pools[0], entry),
        refuses=_several_pods,
    ),
    Kind(
        id="kueue", title="Kueue", build=lambda in_pools, result: kueue([new_grant(in_pools, result)], result), refuses=_by_name
    ),
    Kind(
        id="dra",
        title="ResourceClaimTemplate",
        build=lambda in_pools, rows: claim_template(in_pools[0], rows),
        refuses=_by_claim,
    ),
    Kind(id="quota", title="ResourceQuota", build=quota, refuses=_always),
    Kind(id="policy", title="ValidatingAdmissionPolicy", build=policy, refuses=_always),
)


def kinds_of(in_pool: ClassInPool) -> tuple[Kind, ...]:
    """Returns the kinds that can be written for this ask, in display order."""
    return tuple(kind for kind in KINDS if not kind.refuses(in_pool))


def manifest(kind: str, in_pools: Sequence[ClassInPool], parameters: Parameters) -> list[Document]:
    """Returns the documents of one kind for a class. `asks` are of its pools in order of preference; the first is written for.

    Raises FieldError where the kind, a parameter or the class does not allow it.
    """
    result = next((item for item in KINDS if item.id == kind), None)
    if result is None:
        raise FieldError("kind", f"Manifest “{kind[:40]}” does not exist. Choose from {', '.join(entry.id for entry in KINDS)}.")
    for field, text in given.problems(parameters):
        raise FieldError(field, text)
    if not in_pools:
        raise FieldError("", "The class has no pool, so it has no manifests.")
    if why := result.refuses(in_pools[0]):
        raise FieldError("kind", why)
    return result.build(in_pools, parameters)


def namespace_manifest(
    kind: str,
    grants: Sequence[Grant],
    parameters: Parameters,
    classes: Sequence[Sequence[ClassInPool]] = (),
    names: ClassNames = NO_NAMES,
) -> list[Document]:
    """Returns the policy, quota or queue of a namespace: `classes` for the policy, `grants` for the others. Raises FieldError.

    The grants of a queue are of one class.
    `names` are the DeviceClasses of the clusters.
    """
    for field, text in given.problems(parameters):
        raise FieldError(field, text)
    usable = [in_pools for in_pools in classes if in_pools]
    if kind == "policy" and usable:
        return namespace_policy(usable, parameters.namespace, names)
    counted = [grant for grant in grants if grant.in_pools]
    if kind == "quota" and counted:
        return namespace_quota(counted, parameters.namespace)
    if kind == "kueue" and counted:
        if why := _by_name(counted[0].in_pools[0]):
            raise FieldError("kind", why)
        return kueue(counted, parameters)
    raise FieldError("", "The class has no pool, so it has no manifests.")


class _Dumper(yaml.SafeDumper):
    """Block style, lists indented under their key, no aliases: as manifests are usually written."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_yaml(documents: Sequence[Document]) -> str:
    """Returns the documents as one YAML stream, keys in the order they were written in."""
    dumped = [yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6) for document in documents]
    return "---\n".join(dumped)
