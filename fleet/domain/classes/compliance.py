"""Evaluates a class: the violations of its pools, and its own conditions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from fleet.domain.classes.requirements import ClassInPool
from fleet.domain.classes.workload import ClassSpec
from fleet.domain.placement.fleet import Fleet, Shape
from fleet.domain.placement.headroom import Headroom, headroom
from fleet.domain.placement.matching import static_reasons
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import GOOD, PodRequirement, Toleration
from fleet.domain.pools.availability import AT_RISK, VIOLATED
from fleet.domain.pools.compliance import Violation, worst_state

IN_USE = "No replica fits now: all capacity of the class is in use."


def is_full(state: str | None, texts: Iterable[str]) -> bool:
    """Returns whether a class is at risk only because all of its capacity is in use."""
    return state == AT_RISK and set(texts) == {IN_USE}


NOTHING: Mapping[str, Sequence[PlacementNode]] = MappingProxyType({})
_WORDS = {
    "mode": "have another sharing mode",
    "profile": "have another MIG profile",
    "product": "have another product",
    "memory": "have too little memory",
    "driver": "have a driver that is too old",
    "cuda": "have a driver whose CUDA is too old",
    "nvlink": "have no known NVLink connection",
    "domain": "are in no known NVLink domain",
}


class ClassCompliance(msgspec.Struct, frozen=True, kw_only=True):
    """Compliance of a class with its violations."""

    state: str
    violations: tuple[Violation, ...] = ()


def evaluate_class(
    class_spec: ClassSpec,
    in_pools: Sequence[ClassInPool],
    fleet: Fleet,
    room: Headroom,
    pools: Mapping[str, Sequence[Violation]],
    matching: Mapping[str, Sequence[PlacementNode]] = NOTHING,
) -> ClassCompliance:
    """Returns the compliance of a class now.

    `pools` are the violations of each of its pools, `room` its headroom, `matching` nodes outside the class that manifests for a
    pool select, beside the strays of today.
    """
    violations = [*_missing_pools(class_spec, in_pools)]
    for in_pool in in_pools:
        violations += _inherited(in_pool, pools.get(in_pool.pool.slug, ()))
        violations += _own(in_pool, fleet.of_pool(in_pool.pool.slug))
        violations += _others(in_pool, matching.get(in_pool.pool.slug, ()))
    if in_pools and all(in_pool.problem for in_pool in in_pools):
        violations.append(
            Violation(id="nothing_keeps_it", state=VIOLATED, text="None of its pools offers what the class requires.")
        )
    elif in_pools:
        violations += _ready(in_pools, fleet)
        violations += _room(class_spec, in_pools, fleet, room)
    return ClassCompliance(state=worst_state(violations), violations=tuple(violations))


def _missing_pools(class_spec: ClassSpec, in_pools: Sequence[ClassInPool]) -> list[Violation]:
    there = {in_pool.pool.slug for in_pool in in_pools}
    gone = [slug for slug in class_spec.pools if slug not in there]
    if not class_spec.pools or len(gone) == len(class_spec.pools):
        names = f" ({', '.join(gone)})" if gone else ""
        return [Violation(id="no_pool", state=VIOLATED, text=f"The class has no pool{names}.")]
    return [Violation(id="pool_gone", state=AT_RISK, text=f"Pool {slug} does not exist.") for slug in gone]


def _inherited(in_pool: ClassInPool, violations: Sequence[Violation]) -> list[Violation]:
    return [
        msgspec.structs.replace(violation, text=f"Pool {in_pool.pool.slug}: {violation.text}", pool=in_pool.pool.slug)
        for violation in violations
    ]


def _own(in_pool: ClassInPool, shapes: Sequence[Shape]) -> list[Violation]:
    """Returns violations by members of the pool that do not match the class."""
    if in_pool.problem:
        return [Violation(id="pool_cannot", state=AT_RISK, text=in_pool.problem)]
    wished = msgspec.structs.replace(in_pool.requirement, terms=(), verdicts=(), tolerations=(Toleration("", "Exists"),))
    result: dict[str, list[PlacementNode]] = {}
    for shape in shapes:
        for reason in static_reasons(wished, shape.node)[:1]:
            result.setdefault(reason.code, []).extend(shape.nodes)
    total = sum(len(shape.nodes) for shape in shapes)
    return [
        Violation(
            id=f"wrong_{code}",
            state=AT_RISK,
            text=f"{len(nodes)} of {total} nodes of pool {in_pool.pool.slug} {_WORDS.get(code, 'do not match the class')}.",
            nodes=tuple(node.key for node in nodes),
        )
        for code, nodes in sorted(result.items())
    ]


def _others(in_pool: ClassInPool, matching: Sequence[PlacementNode]) -> list[Violation]:
    """Returns violations by nodes that do not match the class and where its pods may be scheduled, before the first one is.

    Apart those within the pool: a label of the pool does not keep them out.
    """
    nodes = list({node.key: node for node in (*in_pool.strays, *matching)}.values())
    slug = in_pool.pool.slug
    members = [node for node in nodes if slug in node.pools]
    others = [node for node in nodes if slug not in node.pools]
    violations = []
    if members:
        names = (
            f"{members[0].name} carries" if len(members) == 1 else f"{len(members)} nodes ({members[0].name} and others) carry"
        )
        text = f"In pool {slug}, {names} the labels that manifests select, without matching the class: pods may land there."
        violations.append(Violation(id="members_match", state=AT_RISK, text=text, nodes=tuple(node.key for node in members)))
    if others:
        names = (
            f"{others[0].name} carries" if len(others) == 1 else f"{len(others)} other nodes ({others[0].name} and others) carry"
        )
        text = f"{names} the labels that manifests for pool {slug} select: pods may land there."
        violations.append(Violation(id="others_match", state=AT_RISK, text=text, nodes=tuple(node.key for node in others)))
    return violations


def _ready(in_pools: Sequence[ClassInPool], fleet: Fleet) -> list[Violation]:
    nodes = {node.key: node for in_pool in in_pools for shape in fleet.of_pool(in_pool.pool.slug) for node in shape.nodes}
    good = [node for node in nodes.values() if node.verdict in GOOD]
    if not good:
        return [Violation(id="none_ready", state=VIOLATED, text=f"None of the {len(nodes)} nodes of its pools is ready.")]
    return []


def _room(class_spec: ClassSpec, in_pools: Sequence[ClassInPool], fleet: Fleet, room: Headroom) -> list[Violation]:
    if room.replicas:
        return []
    if not _ever(in_pools, fleet):
        text = f"Even with every node empty there is no room for one replica of {class_spec.gpus} slots."
        return [Violation(id="never_fits", state=VIOLATED, text=text)]
    if room.with_last_known:
        text = "No replica is known to fit: the clusters with room were not read recently."
    elif room.back:
        text = "No replica fits now; one will fit once broken nodes are repaired."
    else:
        text = IN_USE
    return [Violation(id="no_room", state=AT_RISK, text=text)]


def _ever(in_pools: Sequence[ClassInPool], fleet: Fleet) -> bool:
    """Returns whether one replica would fit if every node were ready and empty."""
    for in_pool in in_pools:
        empty = [_emptied(node) for shape in fleet.of_pool(in_pool.pool.slug) for node in shape.nodes]
        if headroom([_patient(in_pool.requirement)], Fleet(empty, in_pool.requirement.label_keys())).back:
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
