"""Dynamic Resource Allocation: published devices, claims, device classes and taint rules, as the scheduler reads them."""

from __future__ import annotations

import msgspec

from fleet.domain.label_selectors import Requirement
from fleet.domain.snapshot.nodes import FieldManager, Taint

Terms = tuple[tuple[Requirement, ...], ...]
"""A NodeSelector: one of the terms must hold, with every requirement in it."""


class DraAttribute(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attribute of a device: its kind (string, int, bool, version, or list) and its value, or the values of a list."""

    kind: str
    value: str | int | bool = ""
    of: str = ""
    """Kind of a list's values; empty where what the attribute holds is not known."""
    values: tuple[str | int | bool, ...] = ()


class CapacityPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much of a capacity one request takes (`requestPolicy`). Quantities as written; empty where not set."""

    default: str = ""
    values: tuple[str, ...] = ()
    minimum: str = ""
    maximum: str = ""
    step: str = ""
    has_range: bool = False


class DraCapacity(msgspec.Struct, frozen=True):
    """One capacity of a device, as a quantity, and how requests are drawn from it."""

    value: str
    policy: CapacityPolicy | None = None


class CounterUse(msgspec.Struct, frozen=True):
    """Counters that a device takes from one counter set of its pool."""

    counter_set: str
    counters: dict[str, str]


class CounterSet(msgspec.Struct, frozen=True, kw_only=True):
    """Counters that the devices of a pool share: for a GPU, its compute and memory slices."""

    driver: str
    pool: str
    name: str
    counters: dict[str, str]


class NodeTarget(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which nodes may use a device: one by name, all, or those a selector matches."""

    node_name: str = ""
    all_nodes: bool = False
    terms: Terms = ()


class DraDevice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One device of a ResourceSlice (highest generation of its pool only)."""

    driver: str
    pool: str
    name: str
    node_name: str = ""
    type: str = ""
    """gpu, mig, vfio, channel, daemon … by the driver; empty where it states none."""
    uuid: str = ""
    parent_uuid: str = ""
    product: str = ""
    profile: str = ""
    architecture: str = ""
    memory_bytes: int | None = None
    driver_version: str = ""
    cuda_version: str = ""
    pci_bus_id: str = ""
    parent_pci: str = ""
    """PCI address of the GPU that this device is a part of (AMD's `parentPciAddr`)."""
    taints: tuple[Taint, ...] = ()
    tainted_by: str = ""
    """Field manager that wrote the slice's devices last, where one of them has a taint."""
    attributes: dict[str, DraAttribute] = {}
    capacity: dict[str, DraCapacity] = {}
    shareable: bool = False
    """`allowMultipleAllocations`: several claims may hold it at once, each a share of its capacity."""
    consumes: tuple[CounterUse, ...] = ()
    all_nodes: bool = False
    node_terms: Terms = ()
    binds_to_node: bool = False
    binding_conditions: tuple[str, ...] = ()
    """Conditions that must be true before a pod with this device is bound."""


class IncompletePool(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A DRA pool whose newest generation was not seen whole: its devices are left out of the snapshot."""

    driver: str
    pool: str
    node_name: str = ""
    seen: int
    expected: int
    targets: tuple[NodeTarget, ...] = ()
    """The nodes that the slices seen are for."""


class DraAllocation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One device held through a ResourceClaim. `admin_access` claims only watch: they hold nothing."""

    namespace: str
    claim: str
    driver: str
    pool: str
    device: str
    admin_access: bool = False
    pod_uids: tuple[str, ...] = ()
    share_id: str = ""
    consumed: dict[str, str] = {}
    """What a share takes of the device's capacities, as quantities (`consumedCapacity`)."""
    taint_tolerations: tuple[DeviceToleration, ...] = ()


class DeviceToleration(msgspec.Struct, frozen=True):
    """As a request has it: an empty key with Exists tolerates everything, an empty effect every effect."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


class DeviceRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request of a claim, or one alternative of a prioritised list."""

    name: str
    device_class: str = ""
    selectors: tuple[str, ...] = ()
    """CEL expressions that must all hold; empty text where the kind of selector is not known."""
    mode: str = "ExactCount"
    count: int = 1
    admin_access: bool = False
    tolerations: tuple[DeviceToleration, ...] = ()
    capacity: dict[str, str] = {}
    first_available: tuple[DeviceRequest, ...] = ()


class DeviceConstraint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the devices of the named requests (all, where none is named) must have in common, or must not."""

    requests: tuple[str, ...] = ()
    match_attribute: str = ""
    distinct_attribute: str = ""


class DraClaim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A ResourceClaim (or what a template would make): its requests, and where it is once it is allocated."""

    namespace: str
    name: str
    requests: tuple[DeviceRequest, ...] = ()
    constraints: tuple[DeviceConstraint, ...] = ()
    allocated: bool = False
    node_terms: Terms = ()
    """Nodes that the allocation is available on; none: everywhere."""
    reserved_for: int = 0
    deleting: bool = False
    """Deleted, and kept by a finalizer while a pod uses it: the scheduler gives it to no further pod."""
    made: bool = False
    """Made for one pod from a template: no other pod shares it."""


class DeviceClass(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A DeviceClass: selectors every device of it meets, and the extended resource that pods may ask it by."""

    name: str
    selectors: tuple[str, ...] = ()
    extended_resource: str = ""
    created: str = ""


class DeviceTaintRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A DeviceTaintRule: the taint, and the devices it is for. Empty criteria match every device.

    `device_class` and `selectors` (CEL) exist in v1alpha3 only.
    """

    name: str
    taint: Taint
    driver: str = ""
    pool: str = ""
    device: str = ""
    device_class: str = ""
    selectors: tuple[str, ...] = ()
    setter: FieldManager | None = None
    """Who wrote the taint last; None where that was not read."""


class ResourceSlices(msgspec.Struct, frozen=True, kw_only=True):
    devices: tuple[DraDevice, ...] = ()
    """By pool in the order of the slices' names, as the scheduler goes through them."""
    incomplete_pools: tuple[IncompletePool, ...] = ()
    counter_sets: tuple[CounterSet, ...] = ()
    api_version: str = ""
