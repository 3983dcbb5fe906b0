"""Effect of scheduled replicas on a fleet: the same nodes with fewer free slots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import Placement, less_others
from fleet.domain.placement.matching import PODS
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import PodRequirement

Key = tuple[str, str]


def after(fleet: Fleet, placements: Iterable[Placement], requirements: Sequence[PodRequirement], keys: Iterable[str]) -> Fleet:
    """Returns the fleet with these placements, one pod of the pool's requirement on each node named.

    `requirements` are those the placements were made for, one per pool; `keys` as for Fleet.
    """
    asked = {requirement.pool: requirement.resources for requirement in requirements}
    taken: Counter[tuple[Key, str]] = Counter()
    for placement in placements:
        for node in placement.nodes:
            for resource, amount in (*asked[placement.pool], (PODS, 1)):
                taken[node.key, resource] += amount
    touched = {key for key, _ in taken}
    return Fleet([_less(node, taken) if node.key in touched else node for node in fleet.nodes], keys)


def _less(node: PlacementNode, taken: Counter[tuple[Key, str]]) -> PlacementNode:
    resources = []
    for slots in node.resources:
        amount = taken[node.key, slots.name]
        if amount:
            requested = None if slots.requested is None else slots.requested + amount
            free = None if slots.free is None else slots.free - amount
            slots = msgspec.structs.replace(slots, requested=requested, free=free)
        resources.append(slots)
    return less_others(msgspec.structs.replace(node, resources=tuple(resources)), lambda name: taken[node.key, name])
