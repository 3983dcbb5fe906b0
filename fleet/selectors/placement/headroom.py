"""Headroom of a class now: the same figures for page, API and compliance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from django.db.models import Min
from django.db.models.fields.json import KeyTransform

from fleet.domain.classes.requirements import ClassInPool, label_keys
from fleet.domain.classes.requirements import class_in_pools as in_pools_of
from fleet.domain.classes.stale import KeptPlacement, with_earlier
from fleet.domain.classes.workload import ClassSpec
from fleet.domain.dra.class_names import ClassNames, class_names
from fleet.domain.manifests.dra import class_claim
from fleet.domain.manifests.parameters import CLASS_LABEL, NAME_LABEL
from fleet.domain.placement.device_room import with_device_room
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import Headroom, PoolRoom, headroom
from fleet.domain.placement.requirement import PodRequirement, with_runtime_classes
from fleet.domain.placement.scheduler.devices import ClusterClaims
from fleet.domain.pools.policy import PoolSpec
from fleet.domain.snapshot.scheduling import RuntimeClass
from fleet.models import Cluster, Pool, SchedulingRow, scope
from fleet.selectors import declarations
from fleet.selectors.clusters import data_version
from fleet.selectors.dra import cluster_claims
from fleet.selectors.placement.placement import placement_nodes
from fleet.selectors.placement.process_cache import ProcessCache

MOST_NAMES = 20
"""Nodes named for one reason; their number is always shown."""


@dataclass(slots=True)
class Parts:
    """What only some classes need, read when one first does."""

    others: Fleet | None = None
    """The fleet with cpu, memory and storage."""
    claims: Mapping[str, ClusterClaims] | None = None
    """By cluster, as the runtime classes."""
    runtime_classes: Mapping[str, Sequence[RuntimeClass]] | None = None
    in_pools: dict[ClassSpec, tuple[ClassInPool, ...]] = field(default_factory=dict)
    room_by_cluster: dict[ClassSpec, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stock:
    """Every present node with its pools, grouped for placement, and the pools themselves."""

    fleet: Fleet
    pools: tuple[PoolSpec, ...]
    as_of: datetime | None
    """Time of the oldest collection run it is based on."""
    read_at: datetime
    version: tuple[str, str]
    """Changes with the data and declarations it is based on, and with the scope in which they were read."""
    rooms: dict[ClassSpec, Headroom] = field(default_factory=dict, compare=False)
    """Cached headroom by class, so that it is computed once per collection run."""
    parts: Parts = field(default_factory=Parts, compare=False)


_stocks: ProcessCache[Stock] = ProcessCache(most=8)


def stock(now: datetime) -> Stock:
    """Returns the fleet now, cached in the process until data or declarations change."""
    version = _version(), scope.key()
    return _stocks.get(version, lambda: _read(now, version), key=scope.key())


def _version() -> str:
    declared = list(Pool.objects.order_by("pk").values_list("pk", "updated_at", "removed_at"))
    return f"{data_version()} {declared!r}"


def _read(now: datetime, version: tuple[str, str]) -> Stock:
    pools = tuple(declarations.pool_specs())
    read = Cluster.objects.filter(removed_at__isnull=True, read_at__isnull=False).aggregate(oldest=Min("read_at"))
    return Stock(Fleet(placement_nodes(now), label_keys(pools)), pools, read["oldest"], now, version)


def class_in_pools(class_spec: ClassSpec, stock: Stock) -> tuple[ClassInPool, ...]:
    """Requirement of the class per pool, in order of preference.

    Labels, tolerations and resources are those of the whole class for every user: a manifest that was written from a part of the
    nodes would say something else. Sentences and nodes are only of what the reader may see.
    """
    kept = stock.parts.in_pools
    if class_spec not in kept:
        in_pools = in_pools_of(class_spec, stock.pools, stock.fleet, lambda: claims_by_cluster(stock))
        if stock.version[1]:
            everything = whole(stock)
            with scope.unscoped():
                of_all = {in_pool.pool.slug: in_pool for in_pool in class_in_pools(class_spec, everything)}
            in_pools = tuple(_in_scope(seen, of_all.get(seen.pool.slug, seen)) for seen in in_pools)
        kept[class_spec] = in_pools
    return kept[class_spec]


def _in_scope(seen: ClassInPool, of_all: ClassInPool) -> ClassInPool:
    """Returns the class in a pool with its placement from all nodes, and sentences about those that are seen."""
    return msgspec.structs.replace(
        seen,
        resource=of_all.resource,
        dra=of_all.dra,
        requirement=of_all.requirement,
        devices=of_all.devices,
        problem=seen.problem if of_all.problem else "",
    )


def whole(seen: Stock) -> Stock:
    """Returns the stock of everything, within the request of a person with a limit.

    It is for placements, which are the class's own and the same for every user. Names of its nodes and clusters are not for them.
    """
    if not seen.version[1]:
        return seen
    with scope.unscoped():
        return stock(seen.read_at)


def admitted(class_spec: ClassSpec, kept: Mapping[str, KeptPlacement], stock: Stock) -> tuple[ClassInPool, ...]:
    """Returns the class as a policy admits it: with placements of earlier manifests, and what its RuntimeClass adds to pods.

    `stock` is that of everything.
    """
    with scope.unscoped():  # a policy counts for every user in its namespace
        in_pools = with_earlier(class_in_pools(class_spec, stock), kept.values(), stock.fleet)
        added = [_of_runtime(in_pool, stock) for in_pool in in_pools]
    return tuple(
        msgspec.structs.replace(
            in_pool, added_tolerations=tuple(dict.fromkeys(item for entry in entries for item in entry.tolerations))
        )
        for in_pool, entries in zip(in_pools, added, strict=True)
    )


def device_class_names(stock: Stock) -> ClassNames:
    """Returns which DeviceClasses of the clusters stand for GPUs. `stock` is that of everything."""
    with scope.unscoped():  # as for `admitted`
        return class_names(entry for claims in claims_by_cluster(stock).values() for entry in claims.classes)


def room_of_workload(class_spec: ClassSpec, namespace: str, name: str, stock: Stock) -> Headroom:
    """Number of replicas of this workload that fit: as `room`, with anti-affinity of running pods against its own namespace."""
    if not any(node.keeps_out for node in stock.fleet.nodes):
        return room(class_spec, stock)
    in_pools = class_in_pools(class_spec, stock)
    own = ((CLASS_LABEL, class_spec.slug), (NAME_LABEL, name))
    requirements, fleet = asked_of(in_pools, stock)
    return headroom(
        [msgspec.structs.replace(requirement, labels=own, namespace=namespace) for requirement in requirements], fleet
    )


def room(class_spec: ClassSpec, stock: Stock) -> Headroom:
    """Number of replicas that fit, now and once broken nodes are back, per pool with every excluded node's reason."""
    rooms = stock.rooms.get(class_spec)
    if rooms is None:
        rooms = stock.rooms[class_spec] = headroom(*asked_of(class_in_pools(class_spec, stock), stock))
    return rooms


def room_by_cluster(class_spec: ClassSpec, stock: Stock) -> dict[str, int]:
    """Returns cluster to the replicas that could land there now, most room first; of the clusters of the class's pools.

    They add up to the room of the class: no replica is spread over clusters.
    """
    kept = stock.parts.room_by_cluster
    if class_spec not in kept:
        in_pools = class_in_pools(class_spec, stock)
        whole = fleet_for([in_pool.class_spec for in_pool in in_pools], stock)
        names = {shape.node.cluster for in_pool in in_pools for shape in whole.of_pool(in_pool.pool.slug)}
        rooms = {}
        for name in names:
            part = Fleet([node for node in whole.nodes if node.cluster == name], whole.keys)
            rooms[name] = headroom(*asked_of(in_pools, stock, part)).replicas
        kept[class_spec] = dict(sorted(rooms.items(), key=lambda pair: (-pair[1], pair[0])))
    return kept[class_spec]


def asked_of(
    in_pools: Sequence[ClassInPool],
    stock: Stock,
    fleet: Fleet | None = None,
    claims: Mapping[str, ClusterClaims] | None = None,
) -> tuple[list[PodRequirement], Fleet]:
    """Returns what a pod of the class asks in each pool, its RuntimeClass included, and the fleet with all that decides it.

    `fleet` and `claims` replace the stock's own after other placements.
    """
    requirements = [_with_runtime(in_pool, stock) for in_pool in in_pools]
    fleet = fleet or fleet_for([in_pool.class_spec for in_pool in in_pools], stock)
    for in_pool, requirement in zip(in_pools, requirements, strict=True):
        if in_pool.dra:
            devices = claims_by_cluster(stock) if claims is None else claims
            fleet = with_device_room(fleet, requirement, class_claim(in_pool), devices)
    return requirements, fleet


def fleet_for(class_specs: Iterable[ClassSpec], stock: Stock) -> Fleet:
    """Returns the fleet, with what is free of cpu, memory and storage where one of the classes requests any."""
    if not any(spec.other_requests or spec.runtime_class for spec in class_specs):
        return stock.fleet
    if stock.parts.others is None:
        stock.parts.others = Fleet(placement_nodes(stock.read_at, others=True), stock.fleet.keys)
    return stock.parts.others


def claims_by_cluster(stock: Stock) -> Mapping[str, ClusterClaims]:
    """Returns devices and claims of every cluster by its name."""
    if stock.parts.claims is None:
        rows = Cluster.objects.filter(removed_at__isnull=True)
        stock.parts.claims = {cluster.name: cluster_claims(cluster) for cluster in rows}
    return stock.parts.claims


def _with_runtime(in_pool: ClassInPool, stock: Stock) -> PodRequirement:
    """Returns the requirement with what the RuntimeClass of the class adds to a pod.

    Of clusters that differ the largest overhead counts: no replica is promised that one of them has no room for.
    """
    return with_runtime_classes(in_pool.requirement, entries) if (entries := _of_runtime(in_pool, stock)) else in_pool.requirement


def _of_runtime(in_pool: ClassInPool, stock: Stock) -> list[RuntimeClass]:
    """Returns the RuntimeClass of the class in each cluster of the pool; none where it names none."""
    name = in_pool.class_spec.runtime_class
    if not name:
        return []
    clusters = {shape.node.cluster for shape in stock.fleet.of_pool(in_pool.pool.slug)}
    return [entry for cluster in sorted(clusters) for entry in _runtime_classes(stock).get(cluster, ()) if entry.name == name]


def _runtime_classes(stock: Stock) -> Mapping[str, Sequence[RuntimeClass]]:
    if stock.parts.runtime_classes is None:
        rows = SchedulingRow.objects.filter(cluster__removed_at__isnull=True)
        of_cluster = rows.values_list("cluster__name", KeyTransform("runtime_classes", "objects_read"))
        stock.parts.runtime_classes = {
            name: msgspec.convert(entries or [], list[RuntimeClass], strict=False) for name, entries in of_cluster
        }
    return stock.parts.runtime_classes


def as_json(headroom: Headroom, asked: tuple[ClassInPool, ...]) -> dict[str, object]:
    """Headroom as JSON types; nodes are named up to MOST_NAMES for each reason, and always counted."""
    by_pool = {in_pool.pool.slug: in_pool for in_pool in asked}
    return {
        "replicas": headroom.replicas,
        "replicas_if_stale_is_true": headroom.with_last_known,
        "replicas_once_repaired": headroom.back,
        "pools": [_pool_json(pool, by_pool[pool.pool]) for pool in headroom.pools],
    }


def _pool_json(pool_room: PoolRoom, in_pool: ClassInPool) -> dict[str, object]:
    return {
        "pool": pool_room.pool,
        "resource": in_pool.resource,
        "replicas": pool_room.replicas,
        "replicas_if_stale_is_true": pool_room.with_last_known,
        "replicas_once_repaired": pool_room.back,
        "nodes": pool_room.nodes,
        "open_nodes": pool_room.open_nodes,
        "nodes_by_free_slots": {str(free): nodes for free, nodes in pool_room.by_free.items()},
        "problem": in_pool.problem,
        "warnings": [*in_pool.warnings, *([pool_room.warning] if pool_room.warning else [])],
        "excluded": [
            {
                "code": group.reason.code,
                "reason": group.reason.text,
                "count": len(group.nodes),
                "nodes": [{"cluster": node.cluster, "name": node.name} for node in group.nodes[:MOST_NAMES]],
            }
            for group in pool_room.excluded
        ],
    }
