"""Pools of DRA drivers: of one node, and summed by driver over a cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from fleet.domain.devices.detection import is_gpu_device
from fleet.domain.devices.slots import add
from fleet.domain.devices.sources.dra import ClaimedDevices, pool_statuses
from fleet.domain.devices.sources.dra_claims import key_of
from fleet.domain.dra.pods import ClusterDevices
from fleet.domain.dra.resource_pools import Inventory, PoolId
from fleet.domain.dra.status import PoolStatus
from fleet.domain.labels import is_gpu_driver
from fleet.domain.placement.scheduler.devices import ClusterClaims
from fleet.domain.snapshot import DraAllocation, DraDevice, IncompletePool, ResourceSlices
from fleet.domain.snapshot.dra import CounterSet, DeviceClass, DeviceTaintRule, DraClaim
from fleet.domain.snapshot.sections import Outcome
from fleet.models import Cluster, Node

T = TypeVar("T")
_COMPLETE = frozenset({Outcome.COLLECTED.value, Outcome.ABSENT.value})


@dataclass(frozen=True, slots=True)
class DriverRow:
    """Sums of the pools of one driver. None as soon as one number is unknown."""

    driver: str
    pools: int
    total: int | None
    allocated: int | None
    available: int | None
    unavailable: int | None
    shares: int | None
    shares_free: int | None
    unbounded: bool
    can_be_cut: str


def pools_of_node(node: Node) -> tuple[PoolStatus, ...]:
    """Returns the node's pools; none before they were first read."""
    return _convert(node.dra_pools, PoolStatus)


def drivers_of_cluster(cluster: Cluster) -> list[DriverRow]:
    """Returns one row per driver, by name."""
    nodes = Node.objects.filter(cluster=cluster, removed_at__isnull=True).exclude(dra={})
    by_driver: dict[str, list[PoolStatus]] = {}
    shared: set[PoolId] = set()
    for rows in nodes.order_by("name").values_list("dra_pools", flat=True):
        for pool in _convert(rows, PoolStatus):
            if pool.local:
                by_driver.setdefault(pool.driver, []).append(pool)
            else:
                shared.add((pool.driver, pool.pool))
    for pool in _whole_pools(cluster, shared):
        by_driver.setdefault(pool.driver, []).append(pool)
    return [_driver(driver, pools) for driver, pools in sorted(by_driver.items())]


def _whole_pools(cluster: Cluster, wanted: Collection[PoolId]) -> list[PoolStatus]:
    """Returns pools of several nodes, each once: a node's own figures count the same devices as those of the others."""
    if not wanted:
        return []
    claims = cluster_claims(cluster)
    if claims.devices is None:
        return [PoolStatus(driver=driver, pool=name, total=None) for driver, name in sorted(wanted)]
    pools = [pool for pool in claims.devices.inventory.whole_pools() if pool.id in wanted]
    return list(pool_statuses(ClaimedDevices(pools=pools, allocated=claims.devices.allocated)))


_SECTIONS = {
    "resource_slices": "ResourceSlices",
    "resource_claims": "ResourceClaims",
    "device_classes": "DeviceClasses",
    "device_taint_rules": "DeviceTaintRules",
}


def cluster_claims(cluster: Cluster) -> ClusterClaims:
    """Returns devices and claims of a cluster as its last run read them; without devices where it did not read all of it."""
    classes = _convert(cluster.dra.get("device_classes"), DeviceClass)
    complete = {report["name"] for report in cluster.sections if report["outcome"] in _COMPLETE}
    missing = [kind for section, kind in _SECTIONS.items() if section not in complete]
    if missing:
        return ClusterClaims(None, classes=classes, unknown=f"devices requested through DRA ({missing[0]} not read)")
    present = Node.objects.filter(cluster=cluster, removed_at__isnull=True).exclude(dra={}).order_by("name")
    parts = [*present.values_list("dra", flat=True), cluster.dra]
    devices = [device for part in parts for device in _convert(part.get("devices"), DraDevice)]
    allocations = [held for part in parts for held in _convert(part.get("allocations"), DraAllocation)]
    slices = ResourceSlices(
        devices=tuple(devices),
        incomplete_pools=_convert(cluster.incomplete_pools, IncompletePool),
        counter_sets=_convert(cluster.dra.get("counter_sets"), CounterSet),
    )
    # Taints of DeviceTaintRules are part of the devices of nodes already; joined again they change nothing.
    rules = _convert(cluster.dra.get("taint_rules"), DeviceTaintRule)
    known = ClusterDevices(Inventory(slices, rules, classes), classes, allocations)
    return ClusterClaims(known, _convert(cluster.dra.get("claims"), DraClaim), classes=classes)


ClaimKey = tuple[int, str, str]
"""Primary key of the cluster, namespace and name of a ResourceClaim."""
Held = tuple[str, str, str, str]
"""Driver, pool and device that a claim holds, and the id of its share of the device where it holds a share only."""


def gpus_held_by_claims(node_ids: Collection[int]) -> dict[ClaimKey, set[Held]]:
    """Returns the GPU devices that each claim holds on these nodes. One query; none without nodes.

    Other drivers' devices (network cards) and admin access, which only watches, are left out.
    """
    result: dict[ClaimKey, set[Held]] = {}
    rows = Node.objects.filter(pk__in=node_ids).exclude(dra={}) if node_ids else Node.objects.none()
    for cluster_id, dra in rows.values_list("cluster_id", "dra"):
        gpus = {key_of(device) for device in _convert(dra.get("devices"), DraDevice) if is_gpu_device(device)}
        for held in _convert(dra.get("allocations"), DraAllocation):
            is_gpu = is_gpu_driver(held.driver) or (held.driver, held.pool, held.device) in gpus
            if is_gpu and not held.admin_access:
                devices = result.setdefault((cluster_id, held.namespace, held.claim), set())
                devices.add((held.driver, held.pool, held.device, held.share_id))
    return result


def _convert(rows: Iterable[object] | None, struct: type[T]) -> tuple[T, ...]:
    return tuple(msgspec.convert(row, struct, strict=False) for row in rows or ())


def _driver(driver: str, pools: list[PoolStatus]) -> DriverRow:
    shared = [pool for pool in pools if pool.shares_held is not None or pool.shares is not None or pool.unbounded]
    more: Counter[str] = Counter()
    for pool in pools:
        for cut in pool.cuts:
            more[cut.profile] += cut.more
    largest_first = sorted(more.items(), key=lambda item: (-item[1], item[0]))
    possible = ", or ".join(f"{number} more {profile}" for profile, number in largest_first if number)
    return DriverRow(
        driver=driver,
        pools=len(pools),
        total=add(pool.total for pool in pools),
        allocated=add(pool.allocated for pool in pools),
        available=add(pool.available for pool in pools),
        unavailable=add(pool.unavailable for pool in pools),
        shares=add(pool.shares for pool in shared),
        shares_free=add(pool.shares_free for pool in shared),
        unbounded=any(pool.unbounded for pool in pools),
        can_be_cut=possible or ("nothing more" if more else ""),
    )
