"""Room for a class, as the fleet stands now: the same figures for page, API and promise."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Min

from fleet.domain.classes.asks import PoolAsk, asks, label_keys
from fleet.domain.classes.workload import WorkloadClass as Promise
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import Headroom, PoolRoom, headroom
from fleet.domain.pools.policy import Pool as PoolSpec
from fleet.models import Cluster, Pool
from fleet.selectors import declarations
from fleet.selectors.clusters import data_version
from fleet.selectors.placement import placement_nodes

MOST_NAMES = 20
"""Nodes named for one reason; how many there are is always told."""


@dataclass(frozen=True, slots=True)
class Stock:
    """Every present node with its pools, grouped for placement, and the pools themselves."""

    fleet: Fleet
    pools: tuple[PoolSpec, ...]
    as_of: datetime | None
    """Moment of the oldest reading it rests on."""
    rooms: dict[Promise, Headroom] = field(default_factory=dict, compare=False)
    """What was counted already, so that a catalogue that is looked at often is counted once for each reading."""


_kept: dict[str, Stock] = {}


def stock(now: datetime) -> Stock:
    """The fleet as it stands, kept within the process until anything was read or declared anew."""
    version = _version()
    found = _kept.get(version)
    if found is None:
        found = _read(now)
        _kept.clear()
        _kept[version] = found
    return found


def _version() -> str:
    declared = list(Pool.objects.order_by("pk").values_list("pk", "updated_at", "removed_at"))
    return f"{data_version()} {declared!r}"


def _read(now: datetime) -> Stock:
    pools = tuple(declarations.pool_specs())
    read = Cluster.objects.filter(removed_at__isnull=True, read_at__isnull=False).aggregate(oldest=Min("read_at"))
    return Stock(Fleet(placement_nodes(now), label_keys(pools)), pools, read["oldest"])


def class_asks(promise: Promise, here: Stock) -> tuple[PoolAsk, ...]:
    """What the class asks of each of its pools, in order of preference."""
    return asks(promise, here.pools, here.fleet)


def room(promise: Promise, here: Stock) -> Headroom:
    """How many replicas of it could land, now and once broken nodes are back, per pool with every excluded node's reason."""
    found = here.rooms.get(promise)
    if found is None:
        found = here.rooms[promise] = headroom([ask.requirement for ask in class_asks(promise, here)], here.fleet)
    return found


def as_json(found: Headroom, asked: tuple[PoolAsk, ...]) -> dict[str, Any]:
    """Headroom as JSON types; nodes are named up to MOST_NAMES for each reason, and always counted."""
    by_pool = {ask.pool.slug: ask for ask in asked}
    return {
        "replicas": found.replicas,
        "replicas_if_stale_is_true": found.last_truth,
        "replicas_once_repaired": found.back,
        "pools": [_pool_json(pool, by_pool[pool.pool]) for pool in found.pools],
    }


def _pool_json(found: PoolRoom, ask: PoolAsk) -> dict[str, Any]:
    return {
        "pool": found.pool,
        "resource": ask.resource,
        "replicas": found.replicas,
        "replicas_if_stale_is_true": found.last_truth,
        "replicas_once_repaired": found.back,
        "nodes": found.nodes,
        "open_nodes": found.open_nodes,
        "nodes_by_free_slots": {str(free): nodes for free, nodes in found.by_free.items()},
        "problem": ask.problem,
        "warnings": list(ask.warnings),
        "excluded": [
            {
                "code": group.reason.code,
                "reason": group.reason.text,
                "count": len(group.nodes),
                "nodes": [{"cluster": node.cluster, "name": node.name} for node in group.nodes[:MOST_NAMES]],
            }
            for group in found.excluded
        ],
    }
