"""Nodes as placement sees them: from rows to the domain's structs."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

import msgspec
from django.db.models import QuerySet
from django.db.models.fields.json import KeyTransform

from fleet.domain.labels import GPU_CLIQUE
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.slots import ResourceSlots
from fleet.domain.snapshot import Taint
from fleet.models import MigInstance, Node, PoolMembership
from fleet.selectors.clusters import stale_cluster_ids

_FIELDS = (
    "pk", "cluster_id", "cluster__name", "name", "labels", "taints", "schedulable", "verdict", "verdict_reason", "product",
    "gpu_memory_mib", "driver_version", "cuda_version", "partitioning", "sharing", "mode",
)  # fmt: skip


def present() -> QuerySet[Node]:
    """GPU nodes that are there, of every configured cluster."""
    return Node.objects.filter(removed_at__isnull=True, cluster__removed_at__isnull=True)


def placement_nodes(now: datetime, nodes: QuerySet[Node] | None = None) -> list[PlacementNode]:
    """Every present GPU node (or those of `nodes`), by cluster and name, with the pools it is in. Four queries."""
    rows = present() if nodes is None else nodes
    stale = stale_cluster_ids(now)
    pools, memory = _pools(rows), _instance_memory(rows)
    found = []
    resources_of = KeyTransform("resources", "info")
    for pk, cluster_id, cluster, name, labels, taints, schedulable, verdict, reason, *told, resources in (
        rows.order_by("cluster__name", "name").annotate(slots=resources_of).values_list(*_FIELDS, "slots")
    ):
        product, memory_mib, driver, cuda, partitioning, sharing, mode = told
        found.append(
            PlacementNode(
                cluster=cluster,
                name=name,
                labels=labels,
                taints=tuple(msgspec.convert(taints, list[Taint], strict=False)),
                schedulable=schedulable,
                verdict=verdict,
                reason=reason,
                product=product,
                gpu_memory_mib=memory_mib,
                driver_version=driver,
                cuda_version=cuda,
                partitioning=partitioning or None,
                sharing=sharing or None,
                mode=mode,
                resources=tuple(msgspec.convert(resources or [], list[ResourceSlots], strict=False)),
                device_memory=tuple(sorted(memory[pk].items())),
                nvlink=True if labels.get(GPU_CLIQUE) else None,
                pools=tuple(pools[pk]),
                stale=cluster_id in stale,
            )
        )
    return found


def _pools(rows: QuerySet[Node]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    open_ones = PoolMembership.objects.filter(period__endswith__isnull=True, node__in=rows.order_by())
    for node_id, slug in open_ones.order_by("pool__slug").values_list("node_id", "pool__slug"):
        found[node_id].append(slug)
    return found


def _instance_memory(rows: QuerySet[Node]) -> dict[int, dict[str, Any]]:
    """MIG profile to the MiB of one instance, by node."""
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    told = MigInstance.objects.filter(node__in=rows.order_by(), memory_mib__isnull=False)
    for node_id, profile, mib in told.order_by().values_list("node_id", "profile", "memory_mib").distinct():
        found[node_id][profile] = mib
    return found
