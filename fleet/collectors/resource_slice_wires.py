"""ResourceSlices as the API server writes them, of every version of their API."""

from __future__ import annotations

import msgspec

from fleet.collectors.nodes import TaintWire
from fleet.collectors.wire import ManagedMeta
from fleet.domain.dra.wire import NodeSelectorWire, QuantityWire


class AttributeWire(msgspec.Struct, rename={"integer": "int", "boolean": "bool"}, gc=False):
    string: str | None = None
    version: str | None = None
    integer: int | None = None
    boolean: bool | None = None
    strings: list[str] | None = None
    versions: list[str] | None = None
    ints: list[int] | None = None
    bools: list[bool] | None = None


class RangeWire(msgspec.Struct, gc=False):
    min: QuantityWire = None
    max: QuantityWire = None
    step: QuantityWire = None


class PolicyWire(msgspec.Struct, rename="camel", gc=False):
    default: QuantityWire = None
    valid_values: list[QuantityWire] | None = None
    valid_range: RangeWire | None = None


class CapacityWire(msgspec.Struct, rename="camel", gc=False):
    value: QuantityWire = None
    request_policy: PolicyWire | None = None


class CountersWire(msgspec.Struct, rename="camel", gc=False):
    """Counters of a set (`name`), or what a device takes of one (`counterSet`)."""

    name: str | None = None
    counter_set: str | None = None
    counters: dict[str, CapacityWire | None] | None = None


_Attributes = dict[str, AttributeWire | None]
_Capacities = dict[str, CapacityWire | str | None]  # v1alpha3 writes the quantity itself


class BasicWire(msgspec.Struct, rename="camel", gc=False):
    attributes: _Attributes | None = None
    capacity: _Capacities | None = None
    taints: list[TaintWire] | None = None
    consumes_counters: list[CountersWire] | None = None
    node_name: str | None = None
    node_selector: NodeSelectorWire | None = None
    all_nodes: bool | None = None
    allow_multiple_allocations: bool | None = None
    binds_to_node: bool | None = None
    binding_conditions: list[str] | None = None


class DeviceWire(BasicWire, rename="camel", gc=False):
    name: str | None = None
    basic: BasicWire | None = None


class PoolWire(msgspec.Struct, rename="camel", gc=False):
    name: str | None = None
    generation: int | None = None
    resource_slice_count: int | None = None


class SpecWire(msgspec.Struct, rename="camel", gc=False):
    driver: str | None = None
    node_name: str | None = None
    node_selector: NodeSelectorWire | None = None
    all_nodes: bool | None = None
    per_device_node_selection: bool | None = None
    pool: PoolWire | None = None
    devices: list[DeviceWire] | None = None
    shared_counters: list[CountersWire] | None = None
    tainted_by: str = ""
    """Filled in from the managedFields, which are a third of the weight and are not kept."""


class SliceWire(msgspec.Struct, gc=False):
    metadata: ManagedMeta | None = None
    spec: SpecWire | None = None
