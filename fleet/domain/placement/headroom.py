"""Headroom: how many replicas could land now, how many once broken nodes are back, per pool in order of preference.

Pods of one requirement are alike, so room is counted exactly and without a search: a node takes floor(free ÷ asked) pods; a
replica of one pod is one of them; a replica of N pods takes any N within one domain. A slot is never counted for two pools.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from fleet.domain.placement.fleet import Fleet, Shape
from fleet.domain.placement.matching import (
    PODS,
    Reason,
    When,
    first_reason,
    free_slots,
    pods_that_fit,
    room_for,
    short_of,
)
from fleet.domain.placement.nodes import OTHER_RESOURCES, PlacementNode
from fleet.domain.placement.pool_room import READINESS_TAINT, ExcludedNodes, PoolRoom
from fleet.domain.placement.requirement import PodRequirement

__all__ = ["READINESS_TAINT", "ExcludedNodes", "Headroom", "Placement", "PoolRoom", "headroom", "place"]
Key = tuple[str, str]
"""Cluster and name of a node."""
Ledger = dict[tuple[Key, str], int]
"""Slots, by node and resource, that pools before this one have taken."""
_PASSING = frozenset({"taint", "verdict", "stale"})
"""Reasons that may be gone once a cluster is read again or a node is back; the others stay (matching.When)."""
_TAKEN = Reason("taken", "Pools before this one in order take its free slots.")


class Headroom(msgspec.Struct, frozen=True, kw_only=True):
    """Room in all pools of a class. Totals count no slot twice where pools overlap: a pool takes before those after it."""

    replicas: int
    with_last_known: int
    back: int
    pools: tuple[PoolRoom, ...]


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes of one replica: one per pod, in order."""

    pool: str
    nodes: tuple[PlacementNode, ...]


class _Standing(msgspec.Struct, frozen=True):
    """A shape, and from when on only its free slots decide; None for never."""

    shape: Shape
    reason: Reason | None
    """First reason against it now, whatever its free slots."""
    since: When | None


class _Spot(msgspec.Struct, frozen=True):
    """Equal nodes that take `pods` pods each."""

    nodes: tuple[PlacementNode, ...]
    pods: int


def headroom(requirements: Sequence[PodRequirement], fleet: Fleet) -> Headroom:
    """Returns the room for each requirement in turn: one per pool of a class, in order of preference."""
    rooms = []
    fleet = fleet.by_others(_others(requirements))
    ledgers: dict[When, Ledger] = {when: {} for when in When}
    for position, requirement in enumerate(requirements):
        later = {other.pool for other in requirements[position + 1 :]}
        counted = {}
        shared = bool(ledgers[When.NOW])
        standings = _stand(requirement, fleet.of_pool(requirement.pool))
        for when in When:
            spots = list(_spots(requirement, standings, when, ledgers[when]))
            counted[when] = (_replicas(requirement, spots), spots)
            if any(_shares(spot.nodes[0], later) for spot in spots):
                _note(ledgers[when], requirement, _placements(requirement, spots, later), later)
        rooms.append(_pool_room(requirement, standings, counted, shared=shared))
    now = sum(room.replicas for room in rooms)
    # What fits now fits when more is believed, though pools that overlap may share it out another way then.
    with_last_known = max(now, sum(room.with_last_known for room in rooms))
    back = max(with_last_known, sum(room.back for room in rooms))
    return Headroom(replicas=now, with_last_known=with_last_known, back=back, pools=tuple(rooms))


def place(requirements: Sequence[PodRequirement], fleet: Fleet, replicas: int, when: When = When.NOW) -> tuple[Placement, ...]:
    """Returns nodes for up to this many replicas, in order of preference; fewer where there is no room for more."""
    rows: list[Placement] = []
    fleet = fleet.by_others(_others(requirements))
    ledger: Ledger = {}
    for position, requirement in enumerate(requirements):
        later = {other.pool for other in requirements[position + 1 :]}
        spots = list(_spots(requirement, _stand(requirement, fleet.of_pool(requirement.pool)), when, ledger))
        placed = _placements(requirement, spots, later)
        for placement in placed:
            if len(rows) >= replicas:
                return tuple(rows)
            rows.append(placement)
            if later:
                _note(ledger, requirement, [placement], later)
    return tuple(rows)


def _others(requirements: Iterable[PodRequirement]) -> set[str]:
    return {name for requirement in requirements for name, needed in requirement.resources if needed and name in OTHER_RESOURCES}


def _stand(requirement: PodRequirement, shapes: Iterable[Shape]) -> list[_Standing]:
    rows = []
    for shape in shapes:
        reason = first_reason(requirement, shape.node)
        since: When | None = When.NOW
        if reason is not None:
            later = (When.LAST_KNOWN, When.BACK) if reason.code in _PASSING else ()
            since = next((when for when in later if first_reason(requirement, shape.node, when) is None), None)
        rows.append(_Standing(shape, reason, since))
    return rows


def _spots(requirement: PodRequirement, standings: Iterable[_Standing], when: When, ledger: Ledger) -> Iterator[_Spot]:
    for standing in standings:
        if standing.since is None or standing.since > when:
            continue
        shape = standing.shape
        if ledger and any((node.key, name) in ledger for node in shape.nodes for name, _ in (*requirement.resources, (PODS, 1))):
            for node in shape.nodes:
                pods = room_for(requirement, _without(node, requirement, ledger), when)
                if pods:
                    yield _Spot((node,), pods)
            continue
        pods = room_for(requirement, shape.node, when)
        if pods:
            yield _Spot(shape.nodes, pods)


def _without(node: PlacementNode, requirement: PodRequirement, ledger: Ledger) -> PlacementNode:
    """Returns the node with the pods of earlier pools running on it."""
    resources = []
    for slots in node.resources:
        taken = ledger.get((node.key, slots.name), 0)
        if taken:
            slots = msgspec.structs.replace(
                slots,
                requested=None if slots.requested is None else slots.requested + taken,
                free=None if slots.free is None else slots.free - taken,
            )
        resources.append(slots)
    return less_others(msgspec.structs.replace(node, resources=tuple(resources)), lambda name: ledger.get((node.key, name), 0))


def less_others(node: PlacementNode, taken: Callable[[str], int]) -> PlacementNode:
    """Returns the node with less room for pods, cpu, memory and storage; `taken` is asked by resource."""
    others = tuple(
        msgspec.structs.replace(other, free=None if other.free is None else other.free - taken(other.name))
        for other in node.others
    )
    pods_free = None if node.pods_free is None else node.pods_free - taken(PODS)
    return msgspec.structs.replace(node, others=others, pods_free=pods_free)


def _replicas(requirement: PodRequirement, spots: Sequence[_Spot]) -> int:
    if requirement.pods <= 1:
        return sum(spot.pods * len(spot.nodes) for spot in spots)
    together: Counter[tuple[str, str]] = Counter()
    for spot in spots:
        together[_domain(requirement, spot.nodes[0])] += spot.pods * len(spot.nodes)
    return sum(pods // requirement.pods for pods in together.values())


def _domain(requirement: PodRequirement, node: PlacementNode) -> tuple[str, str]:
    """Returns the domain of one replica: its cluster, and the value of the label that all its pods share."""
    return node.cluster, node.labels.get(requirement.domain, "") if requirement.domain else ""


def _placements(requirement: PodRequirement, spots: Sequence[_Spot], later: set[str]) -> Iterator[Placement]:
    """Yields every replica with room, fullest nodes first, so that whole nodes stay whole.

    Nodes that a later pool could use as well come last: what a group of pods leaves free is then left to that pool.
    """
    ordered = sorted(spots, key=lambda spot: (_shares(spot.nodes[0], later), spot.pods))
    if requirement.pods <= 1:
        for spot in ordered:
            for node in spot.nodes:
                for _ in range(spot.pods):
                    yield Placement(pool=requirement.pool, nodes=(node,))
        return
    waiting: dict[tuple[str, str], list[PlacementNode]] = {}
    for spot in ordered:
        group = waiting.setdefault(_domain(requirement, spot.nodes[0]), [])
        for node in spot.nodes:
            for _ in range(spot.pods):
                group.append(node)
                if len(group) == requirement.pods:
                    yield Placement(pool=requirement.pool, nodes=tuple(group))
                    group.clear()


def _note(ledger: Ledger, requirement: PodRequirement, placed: Iterable[Placement], later: set[str]) -> None:
    """Records what was taken on nodes that later pools share."""
    for placement in placed:
        for node in placement.nodes:
            if _shares(node, later):
                for name, needed in (*requirement.resources, (PODS, 1)):
                    ledger[node.key, name] = ledger.get((node.key, name), 0) + needed


def _shares(node: PlacementNode, later: set[str]) -> bool:
    """Returns whether a later pool could use this node as well; a requirement without a pool could use any."""
    return bool(later) and ("" in later or not later.isdisjoint(node.pools))


def _pool_room(
    requirement: PodRequirement, standings: Sequence[_Standing], counted: dict[When, tuple[int, list[_Spot]]], *, shared: bool
) -> PoolRoom:
    now, spots = counted[When.NOW]
    open_nodes = {node.key for spot in spots for node in spot.nodes} if shared else set()
    groups: dict[Reason, list[PlacementNode]] = {}
    by_free: Counter[int] = Counter()
    members = 0
    for standing in standings:
        shape, reason = standing.shape, standing.reason
        members += len(shape.nodes)
        if reason is None:
            free = _free(requirement, shape.node)
            if free is not None:
                by_free[free] += len(shape.nodes)
            reason = short_of(requirement, shape.node)
        if reason is not None:
            groups.setdefault(reason, []).extend(shape.nodes)
        elif shared:
            taken = [node for node in shape.nodes if node.key not in open_nodes]
            if taken:
                groups.setdefault(_TAKEN, []).extend(taken)
    unready_nodes, unready_pods = _unready(requirement, standings)
    excluded = [ExcludedNodes(reason=reason, nodes=tuple(nodes)) for reason, nodes in groups.items()]
    excluded.sort(key=lambda group: (-len(group.nodes), group.reason.code, group.reason.text))
    return PoolRoom(
        pool=requirement.pool,
        requirement=requirement,
        replicas=now,
        with_last_known=counted[When.LAST_KNOWN][0],
        back=counted[When.BACK][0],
        nodes=members,
        open_nodes=sum(len(spot.nodes) for spot in spots),
        by_free=dict(sorted(by_free.items())),
        excluded=tuple(excluded),
        unready_nodes=unready_nodes,
        unready_pods=unready_pods,
    )


def _unready(requirement: PodRequirement, standings: Iterable[_Standing]) -> tuple[int, int]:
    """Returns the number of members with room that only their verdict excludes, and of pods the scheduler would place there."""
    anyhow = msgspec.structs.replace(requirement, verdicts=())
    nodes = pods = 0
    for standing in standings:
        if standing.reason is not None and standing.reason.code == "verdict":
            room = pods_that_fit(anyhow, standing.shape.node)
            if room:
                nodes += len(standing.shape.nodes)
                pods += room * len(standing.shape.nodes)
    return nodes, pods


def _free(requirement: PodRequirement, node: PlacementNode) -> int | None:
    """Returns the free slots of the one requested device; None where several are requested, or it is unknown."""
    devices = [name for name, _ in requirement.resources if name not in OTHER_RESOURCES]
    if len(devices) != 1:
        return None
    slots = node.slots(devices[0])
    free = free_slots(slots) if slots else None
    return None if free is None else max(free, 0)
