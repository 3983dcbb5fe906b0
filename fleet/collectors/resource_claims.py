"""ResourceClaims: which devices are held through DRA and by which pods, and the requests of pending claims."""

from __future__ import annotations

import msgspec

from fleet.collectors.apis import Apis
from fleet.collectors.errors import Asked
from fleet.collectors.paging import Listing, PageDecoder
from fleet.collectors.resource_slices import GROUP, read_dra
from fleet.collectors.session import Session
from fleet.collectors.wire import ObjectMeta
from fleet.domain.dra.wire import (
    ClaimSpecWire,
    NodeSelectorWire,
    QuantityWire,
    TolerationWire,
    cut,
    parse_claim_spec,
    parse_terms,
    parse_tolerations,
    quantities,
)
from fleet.domain.snapshot import DraAllocation
from fleet.domain.snapshot.dra import DraClaim


class _Result(
    msgspec.Struct,
    rename={"admin_access": "adminAccess", "share_id": "shareID", "consumed_capacity": "consumedCapacity"},
    gc=False,
):
    driver: str | None = None
    pool: str | None = None
    device: str | None = None
    admin_access: bool | None = None
    share_id: str | None = None
    consumed_capacity: dict[str, QuantityWire] | None = None
    tolerations: list[TolerationWire] | None = None


class _Devices(msgspec.Struct, gc=False):
    results: list[_Result] | None = None


class _Allocation(msgspec.Struct, rename="camel", gc=False):
    devices: _Devices | None = None
    node_selector: NodeSelectorWire | None = None


class _Consumer(msgspec.Struct, gc=False):
    resource: str | None = None
    uid: str | None = None


class _Status(msgspec.Struct, rename="camel", gc=False):
    allocation: _Allocation | None = None
    reserved_for: list[_Consumer] | None = None


class ClaimWire(msgspec.Struct, gc=False):
    metadata: ObjectMeta | None = None
    spec: ClaimSpecWire | None = None
    status: _Status | None = None


class ClaimParts(msgspec.Struct, frozen=True):
    """A claim, and the devices it holds."""

    claim: DraClaim
    allocations: tuple[DraAllocation, ...]


_pages = PageDecoder(ClaimWire)


def fetch(session: Session, apis: Apis) -> Listing[ClaimParts]:
    """Reads every claim with the devices it holds. Raises Failure (absent where DRA is not there)."""

    def keep(wires: list[ClaimWire]) -> list[ClaimParts]:
        return [ClaimParts(parse_claim(wire), parse(wire)) for wire in wires]

    asked = Asked(verb="list", resource="resourceclaims", group=GROUP, optional=True)
    return read_dra(session, apis, asked, _pages, keep)[0]


def parse_claim(wire: ClaimWire) -> DraClaim:
    """Returns the claim with its requests, and the nodes its allocation is for."""
    meta, status = wire.metadata or ObjectMeta(), wire.status or _Status()
    allocation = status.allocation
    return msgspec.structs.replace(
        parse_claim_spec(cut(meta.namespace), cut(meta.name), wire.spec),
        allocated=allocation is not None,
        node_terms=parse_terms(allocation.node_selector) if allocation else (),
        reserved_for=len(status.reserved_for or ()),
        deleting=bool(meta.deletion_timestamp),
    )


def parse(wire: ClaimWire) -> tuple[DraAllocation, ...]:
    """One allocation per device of an allocated claim; none for a claim that still waits."""
    meta, status = wire.metadata or ObjectMeta(), wire.status or _Status()
    results = (status.allocation.devices.results if status.allocation and status.allocation.devices else None) or ()
    pods = tuple(c.uid for c in status.reserved_for or () if c.uid and c.resource in (None, "", "pods"))
    return tuple(
        DraAllocation(
            namespace=cut(meta.namespace),
            claim=cut(meta.name),
            driver=cut(result.driver),
            pool=cut(result.pool),
            device=cut(result.device),
            admin_access=bool(result.admin_access),
            pod_uids=pods,
            share_id=cut(result.share_id),
            consumed=quantities(result.consumed_capacity),
            taint_tolerations=parse_tolerations(result.tolerations),
        )
        for result in results
        if result.device
    )
