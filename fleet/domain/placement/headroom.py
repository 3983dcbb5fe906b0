"""Headroom: how many replicas could land now, how many once broken nodes are back, per pool in order of preference.

Pods of one requirement are alike, so room is counted exactly and without a search: a node takes floor(free ÷ asked) pods; a
replica of one pod is one of them; a replica of N pods takes any N within one domain. A slot is never counted for two pools.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from fleet.domain.placement.fleet import Fleet, Shape
from fleet.domain.placement.matching import (
    Reason,
    When,
    first_reason,
    free_slots,
    room_for,
    short_of,
)
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import PodRequirement

Key = tuple[str, str]
"""Cluster and name of a node."""
Ledger = dict[tuple[Key, str], int]
"""Slots, by node and resource, that pools before this one have taken."""
_PASSING = frozenset({"taint", "verdict", "stale"})
"""Reasons that may be gone once a cluster is read again or a node is back; the others stay (matching.When)."""
_TAKEN = Reason("taken", "Pools before this one in order take its free slots.")


class ReasonGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes of a pool that take no pod, for the same first reason."""

    reason: Reason
    nodes: tuple[PlacementNode, ...]


class PoolRoom(msgspec.Struct, frozen=True, kw_only=True):
    """Room for one requirement in its pool (or anywhere, where it names none), without what pools before it take."""

    pool: str
    requirement: PodRequirement
    replicas: int
    """That could land now."""
    last_truth: int
    """The same, if nodes of clusters not read lately are still as they were."""
    back: int
    """The same, once broken nodes and lost devices are back as well."""
    nodes: int
    """Members of the pool."""
    open_nodes: int
    """Of them, nodes that take at least one pod now."""
    by_free: dict[int, int]
    """Nodes that only their fill decides about: free slots of the asked resource to number of nodes."""
    excluded: tuple[ReasonGroup, ...]
    """Every member that takes no pod now, under its first reason, the biggest group first."""


class Headroom(msgspec.Struct, frozen=True, kw_only=True):
    """Room in all pools of a class. Totals count no slot twice where pools overlap: a pool takes before those after it."""

    replicas: int
    last_truth: int
    back: int
    pools: tuple[PoolRoom, ...]


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Where one replica would land: one node per pod, in order."""

    pool: str
    nodes: tuple[PlacementNode, ...]


class _Standing(msgspec.Struct, frozen=True):
    """A shape, and from when on only its fill decides about it; None for never."""

    shape: Shape
    reason: Reason | None
    """The first reason that speaks against it now, whatever its fill."""
    since: When | None


class _Spot(msgspec.Struct, frozen=True):
    """Alike nodes that take `pods` pods each."""

    nodes: tuple[PlacementNode, ...]
    pods: int


def headroom(requirements: Sequence[PodRequirement], fleet: Fleet) -> Headroom:
    """Room for each requirement in turn: one per pool of a class, in order of preference."""
    rooms = []
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
    last_truth = max(now, sum(room.last_truth for room in rooms))
    back = max(last_truth, sum(room.back for room in rooms))
    return Headroom(replicas=now, last_truth=last_truth, back=back, pools=tuple(rooms))


def place(requirements: Sequence[PodRequirement], fleet: Fleet, replicas: int, when: When = When.NOW) -> tuple[Placement, ...]:
    """Where up to this many replicas would land, in order of preference; fewer where there is no room for more."""
    found: list[Placement] = []
    ledger: Ledger = {}
    for position, requirement in enumerate(requirements):
        later = {other.pool for other in requirements[position + 1 :]}
        spots = list(_spots(requirement, _stand(requirement, fleet.of_pool(requirement.pool)), when, ledger))
        placed = _placements(requirement, spots, later)
        for placement in placed:
            if len(found) >= replicas:
                return tuple(found)
            found.append(placement)
            if later:
                _note(ledger, requirement, [placement], later)
    return tuple(found)


def _stand(requirement: PodRequirement, shapes: Iterable[Shape]) -> list[_Standing]:
    found = []
    for shape in shapes:
        reason = first_reason(requirement, shape.node)
        since: When | None = When.NOW
        if reason is not None:
            later = (When.LAST_TRUTH, When.BACK) if reason.code in _PASSING else ()
            since = next((when for when in later if first_reason(requirement, shape.node, when) is None), None)
        found.append(_Standing(shape, reason, since))
    return found


def _spots(requirement: PodRequirement, standings: Iterable[_Standing], when: When, ledger: Ledger) -> Iterator[_Spot]:
    for standing in standings:
        if standing.since is None or standing.since > when:
            continue
        shape = standing.shape
        if ledger and any((node.key, name) in ledger for node in shape.nodes for name, _ in requirement.resources):
            for node in shape.nodes:
                pods = room_for(requirement, _without(node, requirement, ledger), when)
                if pods:
                    yield _Spot((node,), pods)
            continue
        pods = room_for(requirement, shape.node, when)
        if pods:
            yield _Spot(shape.nodes, pods)


def _without(node: PlacementNode, requirement: PodRequirement, ledger: Ledger) -> PlacementNode:
    """The node as if what earlier pools placed were already running there."""
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
    return msgspec.structs.replace(node, resources=tuple(resources))


def _replicas(requirement: PodRequirement, spots: Sequence[_Spot]) -> int:
    if requirement.pods <= 1:
        return sum(spot.pods * len(spot.nodes) for spot in spots)
    together: Counter[tuple[str, str]] = Counter()
    for spot in spots:
        together[_domain(requirement, spot.nodes[0])] += spot.pods * len(spot.nodes)
    return sum(pods // requirement.pods for pods in together.values())


def _domain(requirement: PodRequirement, node: PlacementNode) -> tuple[str, str]:
    """Within which one replica must stay: its cluster, and the value of the label all its pods share."""
    return node.cluster, node.labels.get(requirement.domain, "") if requirement.domain else ""


def _placements(requirement: PodRequirement, spots: Sequence[_Spot], later: set[str]) -> Iterator[Placement]:
    """Every replica that has room, fullest nodes first, so that whole nodes stay whole.

    Nodes that a later pool could use as well come last: what a group of pods leaves over is then left to that pool.
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
    """Write down what was taken on nodes that later pools share."""
    for placement in placed:
        for node in placement.nodes:
            if _shares(node, later):
                for name, needed in requirement.resources:
                    ledger[node.key, name] = ledger.get((node.key, name), 0) + needed


def _shares(node: PlacementNode, later: set[str]) -> bool:
    """Whether a later pool could use this node as well; a requirement without a pool could use any."""
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
    excluded = [ReasonGroup(reason=reason, nodes=tuple(nodes)) for reason, nodes in groups.items()]
    excluded.sort(key=lambda group: (-len(group.nodes), group.reason.code, group.reason.text))
    return PoolRoom(
        pool=requirement.pool,
        requirement=requirement,
        replicas=now,
        last_truth=counted[When.LAST_TRUTH][0],
        back=counted[When.BACK][0],
        nodes=members,
        open_nodes=sum(len(spot.nodes) for spot in spots),
        by_free=dict(sorted(by_free.items())),
        excluded=tuple(excluded),
    )


def _free(requirement: PodRequirement, node: PlacementNode) -> int | None:
    """Free slots of the one resource asked; None where several are, or where nobody knows."""
    if len(requirement.resources) != 1:
        return None
    slots = node.slots(requirement.resources[0][0])
    free = free_slots(slots) if slots else None
    return None if free is None else max(free, 0)
