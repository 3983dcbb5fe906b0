"""Counts the free GPUs of each node that no combination of wanted shapes can use, and states why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache

import msgspec

from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.matching import reasons
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.stranded.nodes import FreeNode, Key, pods_in
from fleet.domain.stranded.shapes import WantedShape

MOST_GPUS = 64
"""Free GPUs of one node that are looked at; any more of them count as usable."""
_MOST_LEFTOVERS = 64
"""Combinations of remaining CPU and memory that are tracked for each number of used GPUs."""
_ROOM = frozenset({"pods", "not_offered", "unknown_free", "insufficient"})
"""Reasons about how full a node is: counted here from everything that is free, not from GPUs alone."""
STEPS: tuple[tuple[str, frozenset[str]], ...] = (
    ("unschedulable", frozenset({"unschedulable"})),
    ("taint", frozenset({"taint"})),
    ("verdict", frozenset({"verdict", "stale"})),
)
"""What may keep a shape off a node that it is for, in the order in which free GPUs are attributed."""
_PASSING = frozenset().union(*(codes for _, codes in STEPS))
ORDER = (*(step for step, _ in STEPS), "resources", "group", "fragment", "no_demand")


class ShapeOnNode(msgspec.Struct, frozen=True):
    """A shape on one node that it is for."""

    shape: WantedShape
    against: frozenset[str]
    """Codes of what keeps it off now: empty where only the node's free amounts decide."""
    starts: bool
    """Whether a whole replica finds room, of which this node would take a pod. Always, where a replica is one pod."""


class NodeUse(msgspec.Struct, frozen=True, kw_only=True):
    """The free GPUs of one node."""

    node: FreeNode
    free: int
    stranded: int
    reasons: dict[str, int]
    """Id of ORDER to GPUs; they add up to `stranded`."""
    sizes: tuple[int, ...]
    """GPUs of the pods that are wanted on this node."""


def wanted_on(
    nodes: Mapping[Key, FreeNode], shapes: Sequence[WantedShape], fleet: Fleet, keys: Collection[str]
) -> dict[Key, list[ShapeOnNode]]:
    """Returns the shapes for each node. `fleet` groups all nodes by the labels `keys`."""
    by_pool: dict[str, list[WantedShape]] = defaultdict(list)
    for shape in shapes:
        by_pool[shape.requirement.pool].append(shape)
    against: dict[Key, list[tuple[WantedShape, frozenset[str]]]] = {}
    grouped = {shape for shape in shapes if shape.requirement.label_keys() <= set(keys)}
    for group in fleet.shapes:
        relevant = [shape for pool in ("", *group.node.pools) for shape in by_pool.get(pool, ())]
        common = _against([shape for shape in relevant if shape in grouped], group.node)
        own = [shape for shape in relevant if shape not in grouped]
        for node in group.nodes:
            if node.key in nodes:
                against[node.key] = [*common, *_against(own, node)] if own else common
    starting = _starting(nodes, against)
    return {
        key: [
            ShapeOnNode(shape, codes, shape.pods == 1 or (shape, _domain(shape, nodes[key].node)) in starting)
            for shape, codes in rows
        ]
        for key, rows in against.items()
    }


def _against(shapes: Iterable[WantedShape], node: PlacementNode) -> list[tuple[WantedShape, frozenset[str]]]:
    rows = []
    for shape in shapes:
        codes = frozenset(reason.code for reason in reasons(shape.requirement, node)) - _ROOM
        slots = node.slots(shape.resource)
        if codes <= _PASSING and slots is not None and slots.capacity != 0:
            rows.append((shape, codes))
    return rows


def _domain(shape: WantedShape, node: PlacementNode) -> tuple[str, str]:
    return node.cluster, node.labels.get(shape.requirement.domain, "") if shape.requirement.domain else ""


def _starting(
    nodes: Mapping[Key, FreeNode], against: Mapping[Key, Sequence[tuple[WantedShape, frozenset[str]]]]
) -> set[tuple[WantedShape, tuple[str, str]]]:
    """Returns the shapes with the domains in which all pods of one replica find room now."""
    room: Counter[tuple[WantedShape, tuple[str, str]]] = Counter()
    for key, rows in against.items():
        for shape, codes in rows:
            if shape.pods > 1 and not codes and nodes[key].gpus is not None:
                room[shape, _domain(shape, nodes[key].node)] += pods_in(shape.needs, nodes[key].free)
    return {place for place, pods in room.items() if pods >= place[0].pods}


def node_use(node: FreeNode, wanted: Sequence[ShapeOnNode]) -> NodeUse | None:
    """Returns how many free GPUs of the node no wanted shape can use; None where what is free is unknown."""
    if node.gpus is None:
        return None
    free = min(node.gpus, MOST_GPUS)
    allowed: set[str] = set()
    counted: dict[str, int] = {}

    def use(rows: Iterable[ShapeOnNode], *, gpus_only: bool = False) -> int:
        fitting = [row.shape for row in rows if row.against <= allowed]
        return best_use(free, _demand(fitting, gpus_only=gpus_only), _others(node, fitting, free, gpus_only=gpus_only))

    sizes = tuple(sorted({row.shape.gpus for row in wanted}))
    starting = [row for row in wanted if row.starts or row.against]
    used = first = use(row for row in starting if row.starts) if free else 0
    if first == free:
        return NodeUse(node=node, free=node.gpus, stranded=0, reasons={}, sizes=sizes)
    for step, codes in STEPS:
        allowed |= codes
        more = use(starting)
        counted[step], used = more - used, max(more, used)
    more = use(starting, gpus_only=True)
    counted["resources"], used = more - used, more
    more = use(wanted, gpus_only=True)
    counted["group"], used = more - used, more
    counted["fragment" if wanted else "no_demand"] = free - used
    return NodeUse(
        node=node,
        free=node.gpus,
        stranded=free - first,
        reasons={reason: gpus for reason, gpus in counted.items() if gpus > 0},
        sizes=sizes,
    )


_Demand = tuple[tuple[int, tuple[int, ...]], ...]


def _names(shapes: Iterable[WantedShape]) -> list[str]:
    return sorted({name for shape in shapes for name, _ in shape.needs if name != shape.resource})


def _demand(shapes: Sequence[WantedShape], *, gpus_only: bool) -> _Demand:
    """Returns GPUs and everything else of each shape, as numbers in the order of _names."""
    names = [] if gpus_only else _names(shapes)
    rows = set()
    for shape in shapes:
        needs = dict(shape.needs)
        rows.add((shape.gpus, tuple(needs.get(name, 0) for name in names)))
    return tuple(sorted(rows))


def _others(node: FreeNode, shapes: Sequence[WantedShape], free: int, *, gpus_only: bool) -> tuple[int, ...]:
    """Returns what is free besides GPUs, at most as much as `free` pods could take: then equal nodes are counted once."""
    if gpus_only:
        return ()
    most: Counter[str] = Counter()
    for shape in shapes:
        for name, amount in shape.needs:
            most[name] = max(most[name], amount)
    return tuple(min(max(node.free.get(name, 0), 0), most[name] * free) for name in _names(shapes))


@lru_cache(maxsize=16384)
def best_use(free: int, demand: _Demand, others: tuple[int, ...]) -> int:
    """Returns the most GPUs that any combination of these pods can use: of `free` GPUs and `others` of everything else."""
    left: dict[int, list[tuple[int, ...]]] = {0: [others]}
    most = 0
    for used in range(free + 1):
        for amounts in left.pop(used, ()):
            most = used
            for gpus, needs in demand:
                if gpus < 1 or used + gpus > free:
                    continue
                after = tuple(have - need for have, need in zip(amounts, needs, strict=True))
                if not after or min(after) >= 0:
                    _keep(left.setdefault(used + gpus, []), after)
    return most


def _keep(leftovers: list[tuple[int, ...]], candidate: tuple[int, ...]) -> None:
    """Adds a remainder unless another has at least as much of everything."""
    for other in leftovers:
        if all(have >= wanted for have, wanted in zip(other, candidate, strict=True)):
            return
    leftovers[:] = [other for other in leftovers if not all(have >= less for have, less in zip(candidate, other, strict=True))]
    if len(leftovers) < _MOST_LEFTOVERS:
        leftovers.append(candidate)
