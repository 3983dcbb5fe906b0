"""What an allocation chooses among, what it chose, and how it fails."""

from __future__ import annotations

from fractions import Fraction

import msgspec

from fleet.domain.dra.allocated import DeviceKey
from fleet.domain.dra.resource_pools import NodePool
from fleet.domain.snapshot.dra import DeviceRequest, DraDevice


class AllocationError(Exception):
    """The scheduler refuses the pod with this error, on every node, and tries again later."""


class UnknownAllocationError(Exception):
    """Whether the claims fit is not known: a selector cannot be evaluated, or the search is too long."""


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """One device for one request of a claim."""

    claim: int
    """Position of the claim among those asked for."""
    request: str
    """Name of the request; with an alternative of a prioritised list, "request/alternative"."""
    device: DraDevice
    admin_access: bool = False
    consumed: dict[str, Fraction] | None = None
    """What a share takes; None for a whole device."""


class NodeAllocation(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome on one node: the devices chosen, or why there are none."""

    chosen: tuple[Chosen, ...] | None
    reason: str = ""


class Candidate(msgspec.Struct, frozen=True):
    """A device that may be chosen, and its pool."""

    pool: NodePool
    device: DraDevice
    key: DeviceKey


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One way to satisfy a request: the request itself, or an alternative of its list."""

    request: DeviceRequest
    parent: str = ""
    count: int
    all_devices: tuple[Candidate, ...] | None = None

    @property
    def full_name(self) -> str:
        return f"{self.parent}/{self.request.name}" if self.parent else self.request.name
