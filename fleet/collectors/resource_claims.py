"""ResourceClaims: which devices are held through DRA, and by which pods."""

from __future__ import annotations

from sys import intern

import msgspec

from fleet.collectors.apis import Apis
from fleet.collectors.errors import Asked
from fleet.collectors.paging import Listing, PageDecoder
from fleet.collectors.resource_slices import GROUP, read_dra
from fleet.collectors.session import Session
from fleet.collectors.wire import ObjectMeta
from fleet.domain.snapshot import DraAllocation


class _Result(msgspec.Struct, rename="camel", gc=False):
    driver: str | None = None
    pool: str | None = None
    device: str | None = None
    admin_access: bool | None = None


class _Devices(msgspec.Struct, gc=False):
    results: list[_Result] | None = None


class _Allocation(msgspec.Struct, gc=False):
    devices: _Devices | None = None


class _Consumer(msgspec.Struct, gc=False):
    resource: str | None = None
    uid: str | None = None


class _Status(msgspec.Struct, rename="camel", gc=False):
    allocation: _Allocation | None = None
    reserved_for: list[_Consumer] | None = None


class ClaimWire(msgspec.Struct, gc=False):
    metadata: ObjectMeta | None = None
    status: _Status | None = None


_pages = PageDecoder(ClaimWire)


def fetch(session: Session, apis: Apis) -> Listing[DraAllocation]:
    """Every device held through a claim. Raises Failure (absent where DRA is not there)."""

    def keep(wires: list[ClaimWire]) -> list[DraAllocation]:
        return [allocation for wire in wires for allocation in parse(wire)]

    asked = Asked(verb="list", resource="resourceclaims", group=GROUP, optional=True)
    return read_dra(session, apis, asked, _pages, keep)[0]


def parse(wire: ClaimWire) -> tuple[DraAllocation, ...]:
    """One allocation per device of an allocated claim; none for a claim that still waits."""
    meta, status = wire.metadata or ObjectMeta(), wire.status or _Status()
    results = (status.allocation.devices.results if status.allocation and status.allocation.devices else None) or ()
    pods = tuple(c.uid for c in status.reserved_for or () if c.uid and c.resource in (None, "", "pods"))
    return tuple(
        DraAllocation(
            namespace=intern(meta.namespace or ""),
            claim=meta.name or "",
            driver=intern(result.driver or ""),
            pool=intern(result.pool or ""),
            device=intern(result.device or ""),
            admin_access=bool(result.admin_access),
            pod_uids=pods,
        )
        for result in results
        if result.device
    )
