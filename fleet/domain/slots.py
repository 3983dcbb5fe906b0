"""Slots: what the scheduler counts. Capacity, allocatable, requested and free of each GPU resource of a node."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class ResourceSlots(msgspec.Struct, frozen=True, kw_only=True):
    """One extended resource (or DRA device class) in slots. None is unknown, never zero."""

    name: str
    kind: str
    """gpu, shared, mig, mig-shared, partition, passthrough, vgpu, custom, dra-gpu, dra-mig, dra-vfio or dra-partition."""
    profile: str = ""
    """MIG profile of one slot (AMD: partition mode); empty for whole cards and where profiles differ."""
    replicas: int | None = None
    """Slots per device: 1 is not shared."""
    capacity: int | None = None
    allocatable: int | None = None
    requested: int | None = None
    free: int | None = None
    """allocatable − requested, exactly: negative where more is asked than offered."""
    predicted: int | None = None
    """What devices × replicas make: the number the node should offer. None where nothing independent tells."""


class Slots(msgspec.Struct, frozen=True, kw_only=True):
    """Totals over the resources of a node."""

    capacity: int | None = None
    allocatable: int | None = None
    requested: int | None = None
    free: int | None = None


def minus(allocatable: int | None, requested: int | None) -> int | None:
    """allocatable − requested where both are known; may be negative."""
    return None if allocatable is None or requested is None else allocatable - requested


def add(numbers: Iterable[int | None]) -> int | None:
    """The sum, or None as soon as one of them is unknown."""
    total = 0
    for number in numbers:
        if number is None:
            return None
        total += number
    return total


def total(resources: Iterable[ResourceSlots], *, leave_out: frozenset[str] = frozenset()) -> Slots:
    """Totals over the resources that are offered (capacity above zero or unknown); over all of them where none is.

    `leave_out` names resources that offer the same cards a second time.
    """
    counted = [resource for resource in resources if resource.name not in leave_out]
    offered = [resource for resource in counted if resource.capacity is None or resource.capacity > 0] or counted
    allocatable = add(resource.allocatable for resource in offered)
    requested = add(resource.requested for resource in offered)
    return Slots(
        capacity=add(resource.capacity for resource in offered),
        allocatable=allocatable,
        requested=requested,
        free=minus(allocatable, requested),
    )
