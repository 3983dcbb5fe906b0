"""ResourceSlices: the devices that DRA drivers publish, of each pool's newest generation and only where it is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import islice

import msgspec

from fleet.collectors import managed_fields
from fleet.collectors.apis import Apis, absent, explain_refusal
from fleet.collectors.errors import Asked, Failure
from fleet.collectors.nodes import parse_taints
from fleet.collectors.paging import Listing, Out, PageDecoder, Wire, read_list
from fleet.collectors.resource_slice_wires import (
    AttributeWire,
    BasicWire,
    CapacityWire,
    CountersWire,
    DeviceWire,
    PoolWire,
    RangeWire,
    SliceWire,
    SpecWire,
)
from fleet.collectors.session import Session
from fleet.domain.dra.wire import MOST_ENTRIES, QuantityWire, cut, parse_terms, quantity
from fleet.domain.quantities import parse_quantity
from fleet.domain.snapshot import DraDevice, IncompletePool, ResourceSlices
from fleet.domain.snapshot.dra import CapacityPolicy, CounterSet, CounterUse, DraAttribute, DraCapacity, NodeTarget
from fleet.domain.snapshot.sections import Outcome

GROUP = "resource.k8s.io"
VERSIONS = ("v1", "v1beta2", "v1beta1", "v1alpha3")
"""Best first: v1 since Kubernetes 1.34, v1beta2 1.33, v1beta1 1.32, v1alpha3 1.31. The last two nest under `basic`."""

_pages = PageDecoder(SliceWire)
_NO_POOL = PoolWire()
_NO_FIELDS = msgspec.Raw(b"null")


def fetch(session: Session, apis: Apis) -> tuple[Listing[SliceWire], str]:
    """Reads the slices and the API version they were read in. Raises Failure (absent where DRA is not there)."""

    def keep(wires: list[SliceWire]) -> list[SliceWire]:
        for wire in wires:
            _name_manager(wire)
        return wires

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
            refusal = explain_refusal(session, apis, failure, asked, version)
            if refusal.outcome is not Outcome.ABSENT:
                raise refusal from None
    raise absent(asked)


def parse(wires: Iterable[SliceWire], api_version: str) -> ResourceSlices:
    """Returns the devices and counters of whole pools; pools of which a slice is missing are named instead."""
    pools: dict[tuple[str, str], list[tuple[str, SpecWire]]] = {}
    for wire in wires:
        _name_manager(wire)
        spec = wire.spec
        if spec is not None and spec.driver and (spec.pool or _NO_POOL).name:
            name = (wire.metadata.name if wire.metadata else None) or ""
            pools.setdefault((cut(spec.driver), cut((spec.pool or _NO_POOL).name)), []).append((name, spec))
    devices: list[DraDevice] = []
    counter_sets: list[CounterSet] = []
    incomplete: list[IncompletePool] = []
    for (driver, pool), slices in pools.items():
        newest = max(_generation(spec) for _, spec in slices)
        # the scheduler goes through a pool's slices by name, those with binding conditions last
        ordered = sorted(slices, key=lambda pair: (_binds_later(pair[1]), pair[0]))
        current = [spec for _, spec in ordered if _generation(spec) == newest]
        expected = max((spec.pool or _NO_POOL).resource_slice_count or 0 for spec in current)
        if len(current) != expected:
            incomplete.append(_incomplete(driver, pool, current, expected))
            continue
        for spec in current:
            devices.extend(_device(wire, spec, driver, pool) for wire in spec.devices or () if wire.name)
            counter_sets.extend(
                CounterSet(driver=driver, pool=pool, name=cut(wire.name), counters=_amounts(wire))
                for wire in (spec.shared_counters or ())[:MOST_ENTRIES]
            )
    return ResourceSlices(
        devices=tuple(devices), incomplete_pools=tuple(incomplete), counter_sets=tuple(counter_sets), api_version=api_version
    )


def _name_manager(wire: SliceWire) -> None:
    """Notes who wrote a slice with tainted devices, and drops its managedFields."""
    if wire.metadata is None or wire.spec is None or wire.metadata.managed_fields == _NO_FIELDS:
        return
    if any((device.basic or device).taints for device in wire.spec.devices or ()):
        managers = managed_fields.parse(wire.metadata.managed_fields, [managed_fields.DEVICES])
        wire.spec.tainted_by = managers[0].manager if managers else ""
    wire.metadata.managed_fields = _NO_FIELDS


def _generation(spec: SpecWire) -> int:
    return (spec.pool or _NO_POOL).generation or 0


def _binds_later(spec: SpecWire) -> bool:
    """Returns whether a device of the slice has conditions that must be true before a pod is bound."""
    return any((device.basic or device).binding_conditions for device in spec.devices or ())


def _incomplete(driver: str, pool: str, slices: list[SpecWire], expected: int) -> IncompletePool:
    targets = []
    for spec in slices:
        if spec.shared_counters:  # counters matter to every node of the pool
            targets.append(NodeTarget(all_nodes=True))
        elif spec.per_device_node_selection:
            targets += [_target(device.basic or device) for device in spec.devices or ()]
        else:
            targets.append(_target(spec))
    return IncompletePool(
        driver=driver,
        pool=pool,
        node_name=next((cut(spec.node_name) for spec in slices if spec.node_name), ""),
        seen=len(slices),
        expected=expected,
        targets=tuple(dict.fromkeys(targets))[:MOST_ENTRIES],
    )


def _target(wire: SpecWire | BasicWire) -> NodeTarget:
    return NodeTarget(node_name=cut(wire.node_name), all_nodes=bool(wire.all_nodes), terms=parse_terms(wire.node_selector))


def _device(wire: DeviceWire, spec: SpecWire, driver: str, pool: str) -> DraDevice:
    facts = wire.basic or wire
    attributes = facts.attributes or {}
    capacity = facts.capacity or {}

    def text_of(*names: str) -> str:
        """The first attribute with text, by its bare name (which stands for the driver's domain) or full."""
        for name in names:
            for key in (name, f"{driver}/{name}"):
                attribute = attributes.get(key)
                if attribute is not None and (value := attribute.string or attribute.version):
                    return value
        return ""

    memory = capacity.get("memory") or capacity.get(f"{driver}/memory")
    target = _target(wire if spec.per_device_node_selection else spec)
    return DraDevice(
        driver=driver,
        pool=pool,
        name=cut(wire.name),
        node_name=cut(wire.node_name or spec.node_name),
        type=cut(text_of("type")),
        uuid=text_of("uuid"),
        parent_uuid=text_of("parentUUID"),
        product=cut(text_of("productName", "model")),
        profile=cut(text_of("profile", "partitionProfile", "computePartition")),
        architecture=cut(text_of("architecture", "family")),
        memory_bytes=_bytes(memory.value if isinstance(memory, CapacityWire) else memory),
        driver_version=cut(text_of("driverVersion")),
        cuda_version=cut(text_of("cudaDriverVersion")),
        pci_bus_id=text_of("resource.kubernetes.io/pciBusID", "pciBusID", "pciAddr"),
        parent_pci=cut(text_of("parentPciAddr", "parentPCIAddr", "parentPciBusID")),
        taints=parse_taints(facts.taints),
        tainted_by=cut(spec.tainted_by) if facts.taints else "",
        attributes={cut(name): _attribute(value) for name, value in islice(attributes.items(), MOST_ENTRIES) if value},
        capacity={cut(name): _capacity(value) for name, value in islice(capacity.items(), MOST_ENTRIES) if value is not None},
        shareable=bool(facts.allow_multiple_allocations),
        consumes=tuple(CounterUse(cut(use.counter_set), _amounts(use)) for use in (facts.consumes_counters or ())[:MOST_ENTRIES]),
        all_nodes=target.all_nodes,
        node_terms=target.terms,
        binds_to_node=bool(facts.binds_to_node),
        binding_conditions=tuple(map(cut, (facts.binding_conditions or ())[:MOST_ENTRIES])),
    )


def _attribute(wire: AttributeWire) -> DraAttribute:
    if wire.string is not None:
        return _shared("string", cut(wire.string))
    if wire.version is not None:
        return _shared("version", cut(wire.version))
    if wire.boolean is not None:
        return DraAttribute("bool", wire.boolean)
    if wire.integer is not None:
        return DraAttribute("int", wire.integer)
    for kind, texts in (("string", wire.strings), ("version", wire.versions)):
        if texts is not None:
            return DraAttribute("list", of=kind, values=tuple(map(cut, texts[:MOST_ENTRIES])))
    if wire.ints is not None:
        return DraAttribute("list", of="int", values=tuple(wire.ints[:MOST_ENTRIES]))
    if wire.bools is not None:
        return DraAttribute("list", of="bool", values=tuple(wire.bools[:MOST_ENTRIES]))
    return DraAttribute("list")


@lru_cache(maxsize=8192)  # the devices of a fleet repeat the same models and versions
def _shared(kind: str, value: str) -> DraAttribute:
    return DraAttribute(kind, value)


def _capacity(wire: CapacityWire | str) -> DraCapacity:
    if isinstance(wire, str):
        return DraCapacity(quantity(wire))
    policy = wire.request_policy
    if policy is None:
        return DraCapacity(quantity(wire.value))
    limits = policy.valid_range or RangeWire()
    return DraCapacity(
        quantity(wire.value),
        CapacityPolicy(
            default=quantity(policy.default),
            values=tuple(map(quantity, (policy.valid_values or ())[:MOST_ENTRIES])),
            minimum=quantity(limits.min),
            maximum=quantity(limits.max),
            step=quantity(limits.step),
            has_range=policy.valid_range is not None,
        ),
    )


def _amounts(wire: CountersWire) -> dict[str, str]:
    return {
        cut(name): quantity(counter.value if counter else None)
        for name, counter in islice((wire.counters or {}).items(), MOST_ENTRIES)
    }


def _bytes(amount: QuantityWire) -> int | None:
    value = parse_quantity(str(amount)) if amount is not None else None
    return int(value) if value is not None and value >= 0 else None
