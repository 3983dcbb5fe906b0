"""ResourceSlices: the devices that DRA drivers publish, of each pool's newest generation and only where it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from sys import intern

import msgspec

from fleet.collectors.apis import Apis, absent, explain_refusal
from fleet.collectors.errors import Asked, Failure
from fleet.collectors.nodes import TaintWire, parse_taints
from fleet.collectors.paging import Listing, Out, PageDecoder, Wire, read_list
from fleet.collectors.session import Session
from fleet.collectors.wire import ObjectMeta
from fleet.domain.outcomes import Outcome
from fleet.domain.quantities import parse_quantity
from fleet.domain.snapshot import DraDevice, IncompletePool, ResourceSlices

GROUP = "resource.k8s.io"
VERSIONS = ("v1", "v1beta2", "v1beta1", "v1alpha3")
"""Best first: v1 since Kubernetes 1.34, v1beta2 1.33, v1beta1 1.32, v1alpha3 1.31. The last two nest under `basic`."""


class _Attribute(msgspec.Struct, gc=False):
    string: str | None = None
    version: str | None = None


class _Capacity(msgspec.Struct, gc=False):
    value: str | int | float | None = None


_Attributes = dict[str, _Attribute | None]
_Capacities = dict[str, _Capacity | str | None]  # v1alpha3 writes the quantity itself


class _Basic(msgspec.Struct, gc=False):
    attributes: _Attributes | None = None
    capacity: _Capacities | None = None
    taints: list[TaintWire] | None = None


class _Device(msgspec.Struct, rename="camel", gc=False):
    name: str | None = None
    attributes: _Attributes | None = None
    capacity: _Capacities | None = None
    taints: list[TaintWire] | None = None
    node_name: str | None = None
    basic: _Basic | None = None


class _Pool(msgspec.Struct, rename="camel", gc=False):
    name: str | None = None
    generation: int | None = None
    resource_slice_count: int | None = None


class _Spec(msgspec.Struct, rename="camel", gc=False):
    driver: str | None = None
    node_name: str | None = None
    pool: _Pool | None = None
    devices: list[_Device] | None = None


class SliceWire(msgspec.Struct, gc=False):
    metadata: ObjectMeta | None = None
    spec: _Spec | None = None


_pages = PageDecoder(SliceWire)
_NO_POOL = _Pool()


def fetch(session: Session, apis: Apis) -> tuple[Listing[_Spec], str]:
    """The slices' specs and the version they were read in. Raises Failure (absent where DRA is not there)."""

    def keep(wires: list[SliceWire]) -> list[_Spec]:
        return [wire.spec for wire in wires if wire.spec is not None]

    return read_dra(session, apis, Asked(verb="list", resource="resourceslices", group=GROUP, optional=True), _pages, keep)


def read_dra(
    session: Session,
    apis: Apis,
    asked: Asked,
    pages: PageDecoder[Wire],
    keep: Callable[[list[Wire]], Iterable[Out]],
) -> tuple[Listing[Out], str]:
    """A list of the DRA group in the best version this cluster serves. Raises Failure."""
    for version in apis.first_of(GROUP, VERSIONS):
        try:
            return read_list(session, f"/apis/{GROUP}/{version}/{asked.resource}", asked, pages, keep), version
        except Failure as failure:
            told = explain_refusal(session, apis, failure, asked, version)
            if told.outcome is not Outcome.ABSENT:
                raise told from None
    raise absent(asked)


def parse(specs: Iterable[_Spec], api_version: str) -> ResourceSlices:
    """Devices of whole pools; pools of which a slice is missing are named instead."""
    pools: dict[tuple[str, str], list[_Spec]] = {}
    for spec in specs:
        pool = spec.pool or _NO_POOL
        if spec.driver and pool.name:
            pools.setdefault((spec.driver, pool.name), []).append(spec)
    devices: list[DraDevice] = []
    incomplete: list[IncompletePool] = []
    for (driver, name), slices in pools.items():
        newest = max(_generation(spec) for spec in slices)
        current = [spec for spec in slices if _generation(spec) == newest]
        expected = max((spec.pool or _NO_POOL).resource_slice_count or 0 for spec in current)
        if len(current) != expected:
            node = next((spec.node_name for spec in current if spec.node_name), "")
            incomplete.append(IncompletePool(driver=driver, pool=name, node_name=node, seen=len(current), expected=expected))
            continue
        for spec in current:
            devices.extend(_device(wire, spec, driver, name) for wire in spec.devices or () if wire.name)
    return ResourceSlices(devices=tuple(devices), incomplete_pools=tuple(incomplete), api_version=api_version)


def _generation(spec: _Spec) -> int:
    return (spec.pool or _NO_POOL).generation or 0


def _device(wire: _Device, spec: _Spec, driver: str, pool: str) -> DraDevice:
    nested = wire.basic or _Basic()
    attributes = wire.attributes or nested.attributes or {}
    capacity = wire.capacity or nested.capacity or {}

    def told(*names: str) -> str:
        """The first attribute that says something, by its bare name (which stands for the driver's domain) or full."""
        for name in names:
            for key in (name, f"{driver}/{name}"):
                attribute = attributes.get(key)
                if attribute is not None and (value := attribute.string or attribute.version):
                    return value
        return ""

    memory = capacity.get("memory") or capacity.get(f"{driver}/memory")
    return DraDevice(
        driver=intern(driver),
        pool=intern(pool),
        name=intern(wire.name or ""),
        node_name=intern(wire.node_name or spec.node_name or ""),
        type=intern(told("type")),
        uuid=told("uuid"),
        parent_uuid=told("parentUUID"),
        product=intern(told("productName", "model")),
        profile=intern(told("profile", "partitionProfile", "computePartition")),
        architecture=intern(told("architecture", "family")),
        memory_bytes=_bytes(memory.value if isinstance(memory, _Capacity) else memory),
        driver_version=intern(told("driverVersion")),
        cuda_version=intern(told("cudaDriverVersion")),
        pci_bus_id=told("resource.kubernetes.io/pciBusID", "pciBusID", "pciAddr"),
        taints=parse_taints(wire.taints or nested.taints),
    )


def _bytes(quantity: str | int | float | None) -> int | None:
    value = parse_quantity(str(quantity)) if quantity is not None else None
    return int(value) if value is not None and value >= 0 else None
