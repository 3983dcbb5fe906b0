"""Nodes as placement sees them: from rows to the domain's structs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import msgspec
from django.db.models import Aggregate, Count, DecimalField, Func, Q, QuerySet, Sum
from django.db.models.fields.json import KeyTextTransform, KeyTransform

from fleet.domain.dra.status import PoolStatus
from fleet.domain.labels import GPU_CLIQUE
from fleet.domain.placement.anti_affinity import Bearer, with_anti_affinity
from fleet.domain.placement.nodes import OTHER_RESOURCES, OtherResource, PlacementNode, with_cuts
from fleet.domain.pod_resources import amount_of
from fleet.domain.quantities import parse_units
from fleet.domain.snapshot import Taint
from fleet.domain.snapshot.scheduling import PodTerm
from fleet.models import MigInstance, Node, Pod, PoolMembership, VerdictPeriod, scope
from fleet.selectors.clusters import stale_cluster_ids
from fleet.selectors.figures import resources_of

_FIELDS = (
    "pk", "cluster_id", "cluster__name", "name", "labels", "taints", "schedulable", "verdict", "verdict_reason", "broken_rung",
    "product",
    "gpu_memory_mib", "driver_version", "cuda_version", "partitioning", "sharing", "mode", "dra_pools",
)  # fmt: skip


def present() -> QuerySet[Node]:
    """Current GPU nodes of every configured cluster."""
    return Node.objects.filter(removed_at__isnull=True, cluster__removed_at__isnull=True)


def placement_nodes(now: datetime, nodes: QuerySet[Node] | None = None, *, others: bool = False) -> list[PlacementNode]:
    """Every present GPU node (or those of `nodes`), by cluster and name, with the pools it is in. Seven queries.

    `others` adds what is free of cpu, memory and ephemeral storage: one query more, over all pods.
    """
    rows = present() if nodes is None else nodes
    stale = stale_cluster_ids(now)
    pools, memory, pods, resources = _pools(rows), _instance_memory(rows), _pods(rows), resources_of(rows)
    last_verdicts = _last_verdicts(rows, stale)
    requested = _requested(rows) if others else {}
    results = []
    allocatable_of = KeyTransform("allocatable", "snapshot")
    for pk, cluster_id, cluster, name, labels, taints, schedulable, verdict, reason, rung, *values, allocatable in (
        rows.order_by("cluster__name", "name").annotate(most=allocatable_of).values_list(*_FIELDS, "most")
    ):
        allowed = parse_units((allocatable or {}).get("pods"))
        product, memory_mib, driver, cuda, partitioning, sharing, mode, dra_pools = values
        slots, device_memory = with_cuts(
            tuple(resources.get(pk, ())), memory[pk], msgspec.convert(dra_pools or [], tuple[PoolStatus, ...], strict=False)
        )
        results.append(
            PlacementNode(
                cluster=cluster,
                name=name,
                labels=labels,
                taints=tuple(msgspec.convert(taints, list[Taint], strict=False)),
                schedulable=schedulable,
                verdict=verdict,
                last_verdict=last_verdicts.get(pk, "") if verdict == "unknown" else "",
                reason=reason,
                broken_rung=rung,
                product=product,
                gpu_memory_mib=memory_mib,
                driver_version=driver,
                cuda_version=cuda,
                partitioning=partitioning or None,
                sharing=sharing or None,
                mode=mode,
                resources=slots,
                device_memory=device_memory,
                nvlink=True if labels.get(GPU_CLIQUE) else None,
                pools=tuple(pools[pk]),
                others=_others(allocatable or {}, requested.get(pk, {})) if others else (),
                pods_free=None if allowed is None else allowed - pods.get(pk, 0),
                stale=cluster_id in stale,
            )
        )
    return with_anti_affinity(results, _bearers(rows))


def _bearers(rows: QuerySet[Node]) -> list[Bearer]:
    """Returns the running pods with required anti-affinity; one query, over few pods."""
    terms = KeyTransform("anti_affinity", KeyTransform("scheduling", "snapshot"))
    with _held(rows) as pods:
        with_terms = pods.annotate(terms=terms).filter(snapshot__scheduling__has_key="anti_affinity").order_by("pk")
        terms_of = list(with_terms.values_list("node__cluster__name", "node__name", "namespace", "terms"))
    return [
        Bearer(cluster, node, namespace, msgspec.convert(written or [], tuple[PodTerm, ...], strict=False))
        for cluster, node, namespace, written in terms_of
    ]


@contextmanager
def _held(rows: QuerySet[Node]) -> Iterator[QuerySet[Pod]]:
    """Yields the pods that hold a place on these nodes, to be read within.

    Those that a limit to namespaces hides are among them: what they hold is not free, and their names are not passed on.
    """
    held = Pod.objects.filter(removed_at__isnull=True, holds=True)
    if not scope.hides_pods():
        yield held.filter(node__in=rows.order_by())
        return
    seen = list(rows.order_by().values_list("pk", flat=True))
    with scope.unscoped():
        yield held.filter(node__in=seen)


def _last_verdicts(rows: QuerySet[Node], stale: Collection[int]) -> dict[int, str]:
    """Returns the newest verdict but unknown of each node whose cluster is unreachable. No query where none is."""
    if not stale:
        return {}
    known = VerdictPeriod.objects.filter(node__in=rows.order_by(), node__cluster_id__in=list(stale)).exclude(verdict="unknown")
    newest = known.order_by("node_id", "-period").distinct("node_id")
    return dict(newest.values_list("node_id", "verdict"))


def _pools(rows: QuerySet[Node]) -> dict[int, list[str]]:
    pools: dict[int, list[str]] = defaultdict(list)
    open_ones = PoolMembership.objects.filter(period__endswith__isnull=True, node__in=rows.order_by())
    for node_id, slug in open_ones.order_by("pool__slug").values_list("node_id", "pool__slug"):
        pools[node_id].append(slug)
    return pools


def _pods(rows: QuerySet[Node]) -> dict[int, int]:
    """Pods that hold a place on each node: bound and not finished, of every kind."""
    with _held(rows) as held:
        return dict(held.order_by().values_list("node_id").annotate(number=Count("pk")))


def _requested(rows: QuerySet[Node]) -> dict[int, dict[str, int | None]]:
    """Node to what its pods request of OTHER_RESOURCES, as the scheduler counts; None where a pod's request is unknown."""
    path = "snapshot__scheduling__requests__"
    not_read = Q(snapshot__scheduling=None) | Q(snapshot__scheduling__isnull=True)
    columns: dict[str, Aggregate] = {"unread": Count("pk", filter=not_read)}
    for position, name in enumerate(OTHER_RESOURCES):
        requests = KeyTransform("requests", KeyTransform("scheduling", "snapshot"))
        columns[f"sum{position}"] = Sum(_Number(KeyTextTransform(name, requests)))
        columns[f"odd{position}"] = Count("pk", filter=Q(**{f"{path}{name}": None}))
    with _held(rows) as held:
        counted = list(held.order_by().values("node_id").annotate(**columns).values_list("node_id", *columns))
    result: dict[int, dict[str, int | None]] = {}
    for node_id, unread, *sums in counted:
        amounts = zip(OTHER_RESOURCES, sums[::2], sums[1::2], strict=True)
        result[node_id] = {name: None if unread or odd else int(total or 0) for name, total, odd in amounts}
    return result


class _Number(Func):
    """A JSON number of any size: a pod may request more than a column of fixed width can store."""

    template = "(%(expressions)s)::numeric"
    output_field = DecimalField()


def _others(allocatable: Mapping[str, str], requested: Mapping[str, int | None]) -> tuple[OtherResource, ...]:
    rows = []
    for name in OTHER_RESOURCES:
        amount = amount_of(name, allocatable[name]) if name in allocatable else 0
        whole, taken = None if amount is None else int(amount), requested.get(name, 0)
        rows.append(OtherResource(name, whole, None if whole is None or taken is None else whole - taken))
    return tuple(rows)


def _instance_memory(rows: QuerySet[Node]) -> dict[int, dict[str, int]]:
    """MIG profile to the MiB of one instance, by node."""
    result: dict[int, dict[str, int]] = defaultdict(dict)
    answer = MigInstance.objects.filter(node__in=rows.order_by(), memory_mib__isnull=False)
    for node_id, profile, mib in answer.order_by().values_list("node_id", "profile", "memory_mib").distinct():
        if mib is not None:
            result[node_id][profile] = mib
    return result
