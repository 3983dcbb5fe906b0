"""Input of device inspection: one node, and the previous state of its devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from fleet.domain.devices.measured_gpus import MeasuredGpu
from fleet.domain.dra.allocated import Allocated
from fleet.domain.dra.resource_pools import Inventory
from fleet.domain.snapshot import (
    DevicePluginConfigs,
    DraAllocation,
    DraDevice,
    IncompletePool,
    NodeSnapshot,
    OperatorSnapshot,
    PodSnapshot,
)
from fleet.domain.snapshot.dra import CounterSet


class Previous(msgspec.Struct, frozen=True, kw_only=True):
    """Last known devices of a node, for the minute in which GFD rewrites its labels (services/missing_labels.py).

    The caller decides for how long they replace missing labels.
    """

    product: str = ""
    products: tuple[str, ...] = ()
    family: str = ""
    gpu_memory_mib: int | None = None
    physical: int | None = None
    physical_is_lower_bound: bool = False
    partitioning: str | None = None
    sharing: str | None = None
    replicas: int | None = None
    mode: str = ""
    mig_instances: dict[str, int] | None = None
    capacity: dict[str, int] = {}
    """Capacity by resource, without zeros: the rest is used only while this is unchanged."""


class NodeInputs(msgspec.Struct, frozen=True, kw_only=True):
    """One node with every section of the snapshot that concerns its GPUs. None: the section was not read."""

    node: NodeSnapshot
    pods: Sequence[PodSnapshot] | None = None
    """Those of this node."""
    plugin: DevicePluginConfigs | None = None
    devices: Sequence[DraDevice] | None = None
    """May contain other nodes' devices; the fewer the faster. The same holds for `allocations` and `incomplete_pools`."""
    allocations: Sequence[DraAllocation] | None = None
    incomplete_pools: Sequence[IncompletePool] = ()
    counter_sets: Sequence[CounterSet] = ()
    """Shared counters of DRA pools; may contain other nodes' too."""
    taint_rules_known: bool = True
    """Whether DeviceTaintRules were read, whose taints the devices then have; else nothing of DRA is known to be free."""
    set_aside: Mapping[tuple[str, str, str], str] = {}
    """DeviceTaintRule by device, for devices that only rules keep from the scheduler (dra.taints.set_aside)."""
    inventory: Inventory | None = None
    """All devices of the cluster, with every taint joined; without it those of `devices` are all there are."""
    allocated: Allocated | None = None
    """What claims of the whole cluster hold; without it what `allocations` hold."""
    previous: Previous | None = None
    """State of the previous run; replaces GFD's labels while GFD rewrites them."""
    operator: OperatorSnapshot | None = None
    """The GPU stack's own objects: whether the driver is managed, and an upgrade progresses."""
    measured_gpus: Sequence[MeasuredGpu] = ()
    """GPUs that telemetry reports."""
