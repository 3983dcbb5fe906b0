"""Slots, the unit of the scheduler: capacity, allocatable, requested and free of each GPU resource of a node."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

UNBOUNDED = "unbounded"
"""Profile of unlimited GPU shares."""


class ResourceSlots(msgspec.Struct, frozen=True, kw_only=True):
    """One extended resource (or DRA device class) in slots. None is unknown, never zero."""

    name: str
    kind: str
    """gpu, shared, mig, mig-shared, partition, passthrough, vgpu, custom, dra-gpu, dra-mig, dra-vfio,
    dra-partition, dra-share or dra-cut (a GPU that is cut on demand)."""
    profile: str = ""
    """MIG profile of one slot (AMD: partition mode); empty for whole cards and where profiles differ."""
    replicas: int | None = None
    """Slots per device: 1 is not shared."""
    capacity: int | None = None
    allocatable: int | None = None
    requested: int | None = None
    free: int | None = None
    """allocatable − requested: negative where more is requested than advertised. Of DRA devices those that a claim can get: an
    allocated device that is tainted is requested and takes none of the allocatable ones."""
    predicted: int | None = None
    """Slots by devices × replicas: the number the node should advertise. None without an independent prediction."""


class Slots(msgspec.Struct, frozen=True, kw_only=True):
    """Totals over the resources of a node, or over nodes."""

    capacity: int | None = None
    allocatable: int | None = None
    requested: int | None = None
    free: int | None = None
    """Never negative. Of a sum of nodes those of usable nodes."""


def is_unbounded(resource: ResourceSlots) -> bool:
    """Returns whether the resource gives out any number of shares now."""
    return resource.profile == UNBOUNDED and resource.allocatable is None


def minus(allocatable: int | None, requested: int | None) -> int | None:
    """Returns allocatable − requested where both are known; may be negative."""
    return None if allocatable is None or requested is None else allocatable - requested


def free_slots(free: int | None) -> int | None:
    """Returns the slots that are left; 0 where more is requested than allocatable: none takes those of another."""
    return None if free is None else max(0, free)


def add(numbers: Iterable[int | None]) -> int | None:
    """Returns the sum; None as soon as one number is unknown."""
    total = 0
    for number in numbers:
        if number is None:
            return None
        total += number
    return total


def total(resources: Iterable[ResourceSlots], *, duplicates: frozenset[str] = frozenset()) -> Slots:
    """Returns totals over the resources that are advertised (capacity above zero or unknown); over all of them where none is.

    `duplicates` names resources that advertise the same GPUs a second time.
    """
    counted = [resource for resource in resources if resource.name not in duplicates]
    offered = [resource for resource in counted if resource.capacity is None or resource.capacity > 0] or counted
    allocatable = add(resource.allocatable for resource in offered)
    requested = add(resource.requested for resource in offered)
    return Slots(
        capacity=add(resource.capacity for resource in offered),
        allocatable=allocatable,
        requested=requested,
        free=add(free_slots(resource.free) for resource in offered),
    )
