"""DeviceClasses: which devices a class selects, and its extended resource."""

from __future__ import annotations

import msgspec

from fleet.collectors.apis import Apis
from fleet.collectors.errors import Asked
from fleet.collectors.paging import Listing, PageDecoder
from fleet.collectors.resource_slices import GROUP, read_dra
from fleet.collectors.session import Session
from fleet.collectors.wire import ObjectMeta
from fleet.domain.dra.wire import SelectorWire, cut, parse_selectors
from fleet.domain.snapshot.dra import DeviceClass


class _Spec(msgspec.Struct, rename="camel", gc=False):
    selectors: list[SelectorWire] | None = None
    extended_resource_name: str | None = None


class ClassWire(msgspec.Struct, gc=False):
    metadata: ObjectMeta | None = None
    spec: _Spec | None = None


_pages = PageDecoder(ClassWire)


def fetch(session: Session, apis: Apis) -> Listing[DeviceClass]:
    """Reads every DeviceClass. Raises Failure (absent where DRA is not there)."""

    def keep(wires: list[ClassWire]) -> list[DeviceClass]:
        return [parse(wire) for wire in wires]

    return read_dra(session, apis, Asked(verb="list", resource="deviceclasses", group=GROUP, optional=True), _pages, keep)[0]


def parse(wire: ClassWire) -> DeviceClass:
    meta, spec = wire.metadata or ObjectMeta(), wire.spec or _Spec()
    return DeviceClass(
        name=cut(meta.name),
        selectors=parse_selectors(spec.selectors),
        extended_resource=cut(spec.extended_resource_name),
        created=cut(meta.creation_timestamp),
    )
