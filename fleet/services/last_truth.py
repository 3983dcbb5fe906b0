"""What a section last said, put in place of what it could not say now: the pages go on showing it, with its age.

Only sections that once were read whole are filled; what was never read stays unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

import msgspec
from django.db.models import Q

from fleet.domain.devices import NodeDevices, Previous, remember
from fleet.domain.labels import GPU_PRODUCT
from fleet.domain.snapshot import (
    ClusterSnapshot,
    DevicePluginConfigs,
    DraAllocation,
    DraDevice,
    NodeSnapshot,
    OperatorSnapshot,
    PodSnapshot,
    ResourceSlices,
)
from fleet.models import Cluster, Node, Pod

T = TypeVar("T")


def gpu_node_names(cluster: Cluster) -> frozenset[str]:
    """Names of the nodes known to carry GPUs, whatever they say now."""
    return frozenset(cluster.nodes.filter(removed_at__isnull=True).values_list("name", flat=True))


LABELS_MISSING = "labels_missing"
_LABELS_MAY_BE_AWAY = timedelta(minutes=5)


def while_labels_are_away(cluster: Cluster, snapshot: ClusterSnapshot) -> dict[str, Previous]:
    """Uid to what was known of a node whose GFD labels are not there now: a restart of GFD takes them away for a minute,
    and the node is none the worse. After five minutes the labels count as gone."""
    bare = [node.uid for node in snapshot.nodes if GPU_PRODUCT not in node.labels]
    had_them = Q(labels__has_key=GPU_PRODUCT) | Q(labels_missing_since__isnull=False)
    rows = _alive_nodes(cluster).filter(had_them, uid__in=bare).values_list("uid", "info", "labels_missing_since")
    return {
        uid: remember(msgspec.convert(info, NodeDevices, strict=False))
        for uid, info, since in rows
        if since is None or snapshot.taken_at - since < _LABELS_MAY_BE_AWAY
    }


def fill(cluster: Cluster, snapshot: ClusterSnapshot) -> ClusterSnapshot:
    """The snapshot with its broken sections filled up from memory, and their names in `remembered`."""
    fillers: dict[str, Callable[[Cluster, ClusterSnapshot], dict[str, Any]]] = {
        "nodes": _nodes,
        "pods": _pods,
        "operator": _operator,
        "device_plugin_config": _device_plugin,
        "resource_slices": _slices,
        "resource_claims": _allocations,
    }
    remembered = [name for name in fillers if not snapshot.section(name).complete and name in (cluster.section_read_at or {})]
    changes: dict[str, Any] = {"remembered": tuple(remembered)}
    for name in remembered:
        changes |= fillers[name](cluster, snapshot)
    if "resource_slices" not in remembered and snapshot.slices.incomplete_pools:
        changes |= _slices(cluster, snapshot)
    return msgspec.structs.replace(snapshot, **changes)


def _nodes(cluster: Cluster, snapshot: ClusterSnapshot) -> dict[str, Any]:
    seen = {node.name for node in snapshot.nodes}
    known = _alive_nodes(cluster).exclude(name__in=seen).values_list("snapshot", flat=True)
    return {"nodes": snapshot.nodes + _convert(known, NodeSnapshot), "node_count": cluster.node_count}


def _pods(cluster: Cluster, snapshot: ClusterSnapshot) -> dict[str, Any]:
    seen = {pod.uid for pod in snapshot.pods}
    known = Pod.objects.filter(cluster=cluster, removed_at__isnull=True).values_list("uid", "snapshot")
    return {"pods": snapshot.pods + _convert((facts for uid, facts in known if uid not in seen), PodSnapshot)}


def _operator(cluster: Cluster, snapshot: ClusterSnapshot) -> dict[str, Any]:
    return {"operator": msgspec.convert(cluster.operator, OperatorSnapshot, strict=False)}


def _device_plugin(cluster: Cluster, snapshot: ClusterSnapshot) -> dict[str, Any]:
    return {"device_plugin": msgspec.convert(cluster.device_plugin, DevicePluginConfigs, strict=False)}


def _slices(cluster: Cluster, snapshot: ClusterSnapshot) -> dict[str, Any]:
    """Devices of pools that were not seen whole; with the section itself broken, of every pool."""
    seen = {(device.driver, device.pool, device.name) for device in snapshot.slices.devices}
    missing = {(pool.driver, pool.pool) for pool in snapshot.slices.incomplete_pools}
    whole_section = not snapshot.section("resource_slices").complete
    kept = tuple(
        device
        for device in _convert(_remembered_dra(cluster, "devices"), DraDevice)
        if (device.driver, device.pool, device.name) not in seen and (whole_section or (device.driver, device.pool) in missing)
    )
    return {
        "slices": ResourceSlices(
            devices=snapshot.slices.devices + kept,
            incomplete_pools=snapshot.slices.incomplete_pools,
            api_version=snapshot.slices.api_version,
        )
    }


def _allocations(cluster: Cluster, snapshot: ClusterSnapshot) -> dict[str, Any]:
    seen = {(held.driver, held.pool, held.device) for held in snapshot.allocations}
    known = _convert(_remembered_dra(cluster, "allocations"), DraAllocation)
    return {
        "allocations": snapshot.allocations + tuple(held for held in known if (held.driver, held.pool, held.device) not in seen)
    }


def _remembered_dra(cluster: Cluster, part: str) -> Iterable[Mapping[str, Any]]:
    for dra in _alive_nodes(cluster).exclude(dra={}).values_list("dra", flat=True):
        yield from dra.get(part, ())


def _alive_nodes(cluster: Cluster) -> Any:
    return Node.objects.filter(cluster=cluster, removed_at__isnull=True)


def _convert(rows: Iterable[Any], struct: type[T]) -> tuple[T, ...]:
    return tuple(msgspec.convert(row, struct, strict=False) for row in rows)
