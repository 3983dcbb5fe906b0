"""The five numbers of a node or of a sum of nodes, and which of them differ from what they should be.

In: figures of a node, or sums over nodes. Out: a Capacity: physical GPUs, slots, allocatable, requested and free slots.
"""

from __future__ import annotations

import msgspec

from fleet.domain.devices.slots import UNBOUNDED, ResourceSlots, add, free_slots, is_unbounded
from fleet.domain.evaluation.figures import NodeFigures
from fleet.domain.evaluation.fleet_figures import FleetFigures


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """Physical GPUs and slots. None is unknown."""

    physical: int | None = None
    slots: int | None = None
    allocatable: int | None = None
    requested: int | None = None
    free: int | None = None
    """Slots that a pod can count on: of usable nodes, never negative."""
    free_unusable: int | None = None
    """Free slots of nodes that are not usable."""
    expected: int | None = None
    """Physical GPUs that should be there."""
    predicted: int | None = None
    """Slots that should be there, by devices and replicas."""
    slot_noun: str = "slots"
    unbounded: bool = False
    """GPUs are given out in any number of shares: slots, allocatable and free have no number."""

    @property
    def none_word(self) -> str:
        """Returns what stands for a number of slots that is not there."""
        return UNBOUNDED if self.unbounded else "unknown"

    @property
    def off(self) -> tuple[str, ...]:
        """Returns the names of the numbers that differ from what they should be; unknown numbers do not."""
        wrong = {
            "physical": is_below(self.physical, self.expected),
            "slots": is_below(self.slots, self.predicted),
            "allocatable": is_below(self.allocatable, self.predicted) or is_below(self.allocatable, self.slots),
            "requested": is_below(self.allocatable, self.requested),
        }
        return tuple(name for name, differs in wrong.items() if differs)


def is_below(figure: int | None, limit: int | None) -> bool:
    """Returns whether a figure is lower than its limit; False where either is unknown."""
    return figure is not None and limit is not None and figure < limit


def fleet_capacity(sums: FleetFigures) -> Capacity:
    """Returns the capacity of a sum of nodes. Sums have no predicted slots: modes differ from node to node."""
    slots = sums.slots
    return Capacity(
        physical=sums.physical,
        slots=slots.capacity,
        allocatable=slots.allocatable,
        requested=slots.requested,
        free=slots.free,
        free_unusable=sums.free_unusable,
        expected=sums.expected if sums.nodes and sums.is_counted else None,
    )


def node_capacity(figures: NodeFigures) -> Capacity:
    """Returns the capacity of one node."""
    counted = [resource.predicted for resource in figures.resources if resource.capacity or resource.predicted]
    return Capacity(
        physical=figures.physical,
        slots=figures.slots.capacity,
        allocatable=figures.slots.allocatable,
        requested=figures.slots.requested,
        free=figures.free,
        free_unusable=figures.free_unusable,
        expected=figures.expected,
        predicted=add(counted) if counted else None,
        slot_noun=_noun_of_devices(figures) or slot_noun(figures.partitioning, figures.sharing),
        unbounded=any(map(is_unbounded, figures.resources)),
    )


def _noun_of_devices(figures: NodeFigures) -> str:
    """Returns what the slots are called where DRA alone publishes them, all of one sort; empty elsewhere.

    A GPU that is cut on demand is one slot, however the node is partitioned now.
    """
    counted = [row for row in figures.resources if row.capacity or row.predicted or is_unbounded(row)]
    kinds = {resource.kind for resource in counted}
    if kinds and kinds <= {"dra-gpu", "dra-cut", "dra-vfio"}:
        return "slots"
    return "shared slots" if kinds == {"dra-share"} else ""


def slot_noun(partitioning: str, sharing: str) -> str:
    """Returns what the slots of such nodes are called: `slots` (whole GPUs), `MIG slots` or `shared slots`."""
    if sharing in ("time-slicing", "mps"):
        return "shared slots"
    return "MIG slots" if partitioning.startswith("mig") else "slots"


def resource_capacity(resource: ResourceSlots) -> Capacity:
    """Returns the capacity of one resource of a node."""
    return Capacity(
        slots=resource.capacity,
        allocatable=resource.allocatable,
        requested=resource.requested,
        free=free_slots(resource.free),
        predicted=resource.predicted,
        unbounded=is_unbounded(resource),
    )
