"""Whether a class is kept, at risk or broken: the worst of its pools, and its own conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from fleet.domain.classes.asks import PoolAsk
from fleet.domain.classes.workload import WorkloadClass
from fleet.domain.placement.fleet import Fleet, Shape
from fleet.domain.placement.headroom import Headroom, headroom
from fleet.domain.placement.matching import static_reasons
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import GOOD, PodRequirement, Toleration
from fleet.domain.pools.keeping import AT_RISK, BROKEN, KEPT, Broken, state_of

IN_USE = "No replica fits now: what is promised is in use."
_WORDS = {
    "mode": "share their cards another way",
    "profile": "have another MIG profile",
    "product": "have another product",
    "memory": "have too little memory",
    "driver": "have too old a driver",
    "cuda": "have a driver with too old a CUDA",
    "nvlink": "are not known to be joined by NVLink",
    "domain": "are in no known NVLink domain",
}


class ClassState(msgspec.Struct, frozen=True, kw_only=True):
    """How a class stands, and everything that speaks against it."""

    state: str
    reasons: tuple[Broken, ...] = ()


def class_state(
    promise: WorkloadClass,
    asks: Sequence[PoolAsk],
    fleet: Fleet,
    room: Headroom,
    pools: Mapping[str, Sequence[Broken]],
) -> ClassState:
    """How the class stands now. `pools` are the broken conditions of each of its pools, `room` its headroom."""
    reasons = [*_missing_pools(promise, asks)]
    for ask in asks:
        reasons += _inherited(ask, pools.get(ask.pool.slug, ()))
        reasons += _own(ask, fleet.of_pool(ask.pool.slug))
    if asks and all(ask.problem for ask in asks):
        reasons.append(Broken(code="nothing_keeps_it", state=BROKEN, text="None of its pools offers what it promises."))
    elif asks:
        reasons += _ready(asks, fleet)
        reasons += _room(promise, asks, fleet, room)
    return ClassState(state=state_of(reasons) if reasons else KEPT, reasons=tuple(reasons))


def _missing_pools(promise: WorkloadClass, asks: Sequence[PoolAsk]) -> list[Broken]:
    there = {ask.pool.slug for ask in asks}
    gone = [slug for slug in promise.pools if slug not in there]
    if not promise.pools or len(gone) == len(promise.pools):
        names = f" ({', '.join(gone)})" if gone else ""
        return [Broken(code="no_pool", state=BROKEN, text=f"It has no pool{names}: nothing stands behind the promise.")]
    return [Broken(code="pool_gone", state=AT_RISK, text=f"Its pool {slug} does not exist.") for slug in gone]


def _inherited(ask: PoolAsk, broken: Sequence[Broken]) -> list[Broken]:
    return [msgspec.structs.replace(one, text=f"Pool {ask.pool.slug}: {one.text}", pool=ask.pool.slug) for one in broken]


def _own(ask: PoolAsk, shapes: Sequence[Shape]) -> list[Broken]:
    """Members of the pool that are not what this class promises, by what is wrong with them."""
    if ask.problem:
        return [Broken(code="pool_cannot", state=AT_RISK, text=ask.problem)]
    wished = msgspec.structs.replace(ask.requirement, terms=(), verdicts=(), tolerations=(Toleration("", "Exists"),))
    found: dict[str, list[PlacementNode]] = {}
    for shape in shapes:
        for reason in static_reasons(wished, shape.node)[:1]:
            found.setdefault(reason.code, []).extend(shape.nodes)
    total = sum(len(shape.nodes) for shape in shapes)
    return [
        Broken(
            code=f"wrong_{code}",
            state=AT_RISK,
            text=f"{len(nodes)} of {total} nodes of pool {ask.pool.slug} {_WORDS.get(code, 'are not what it promises')}.",
            nodes=tuple(node.key for node in nodes),
        )
        for code, nodes in sorted(found.items())
    ]


def _ready(asks: Sequence[PoolAsk], fleet: Fleet) -> list[Broken]:
    nodes = {node.key: node for ask in asks for shape in fleet.of_pool(ask.pool.slug) for node in shape.nodes}
    good = [node for node in nodes.values() if node.verdict in GOOD]
    if not good:
        return [Broken(code="none_ready", state=BROKEN, text=f"None of the {len(nodes)} nodes of its pools is ready.")]
    return []


def _room(promise: WorkloadClass, asks: Sequence[PoolAsk], fleet: Fleet, room: Headroom) -> list[Broken]:
    if room.replicas:
        return []
    if not _ever(asks, fleet):
        text = f"Not even an empty fleet has room for one replica of {promise.gpus} slots."
        return [Broken(code="never_fits", state=BROKEN, text=text)]
    if room.last_truth:
        text = "No replica is known to fit: the clusters with room have not been read lately."
    elif room.back:
        text = "No replica fits now; once broken nodes are back, one does."
    else:
        text = IN_USE
    return [Broken(code="no_room", state=AT_RISK, text=text)]


def _ever(asks: Sequence[PoolAsk], fleet: Fleet) -> bool:
    """Whether one replica would fit if every node were well and empty."""
    for ask in asks:
        empty = [_emptied(node) for shape in fleet.of_pool(ask.pool.slug) for node in shape.nodes]
        if headroom([_patient(ask.requirement)], Fleet(empty, ask.requirement.label_keys())).back:
            return True
    return False


def _patient(requirement: PodRequirement) -> PodRequirement:
    return msgspec.structs.replace(requirement, verdicts=())


def _emptied(node: PlacementNode) -> PlacementNode:
    resources = tuple(
        msgspec.structs.replace(slots, requested=0, free=max(slots.capacity or 0, slots.predicted or 0))
        for slots in node.resources
    )
    return msgspec.structs.replace(node, resources=resources, schedulable=True, verdict="ready", stale=False)
