"""Declarations of one node and its cluster about its GPUs, parsed once for all inspections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from fleet.domain import labels, pci
from fleet.domain.devices.detection import node_of
from fleet.domain.devices.driver_upgrades import DriverUpgrade, driver_upgrade
from fleet.domain.devices.inputs import NodeInputs, Previous
from fleet.domain.devices.measured_gpus import MeasuredGpu
from fleet.domain.devices.mig import canonical
from fleet.domain.devices.sources import cloud, dra, fractions, gfd, plugin_config, vendors
from fleet.domain.devices.sources.gfd import plausible
from fleet.domain.dra.allocated import Allocated
from fleet.domain.dra.resource_pools import DraNode, Inventory
from fleet.domain.dra.status import PoolStatus
from fleet.domain.quantities import parse_units
from fleet.domain.snapshot import IncompletePool, NodeSnapshot, ResourceSlices

_NFD = (labels.NFD, *labels.NFD_VENDOR_GPU)


class StatusResource(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU resource in the node's status. None is a quantity that cannot be read."""

    name: str
    kind: str
    profile: str = ""
    """MIG profile for mig resources."""
    capacity: int | None
    allocatable: int | None


class NodeClaims(msgspec.Struct, frozen=True, kw_only=True):
    """All declarations of the node and its cluster about its GPUs, typed, not yet evaluated."""

    node: NodeSnapshot
    vendor: str
    gfd: gfd.Gfd
    cloud: cloud.CloudHints
    wanted: plugin_config.Wanted
    facts: vendors.VendorFacts
    fractions: fractions.Fractions
    upgrade: DriverUpgrade
    resources: dict[str, StatusResource]
    """GPU resources of this vendor in capacity or allocatable, by name; zeros included."""
    capacity: dict[str, int]
    """Capacity by resource of this vendor, where it is known and above zero."""
    others: dict[str, int]
    """The same of other vendors' resources, which do not count this vendor's GPUs."""
    unreadable: tuple[str, ...]
    """Names of GPU resources whose quantity cannot be read."""
    dra: dra.DraView | None
    dra_known: bool
    dra_pools: tuple[PoolStatus, ...]
    """Pools of GPUs that the node may use through DRA, those of several nodes included."""
    gfd_left_behind: bool
    """Whether DRA serves the GPUs, no GFD runs on the node, and GFD's labels declare sharing that is not configured."""
    pools_missing: tuple[IncompletePool, ...]
    previous: Previous | None
    labels_vanished: bool
    """Whether GFD's labels are missing while the capacity is unchanged."""
    seen: tuple[MeasuredGpu, ...] = ()
    """GPUs that telemetry reports, by bus address."""

    @property
    def named_products(self) -> tuple[str, ...]:
        """Returns the products of the GPUs that telemetry or a scheduler's register lists."""
        named = [gpu.product for gpu in self.seen] + [gpu.product for gpu in self.fractions.gpus]
        return tuple(sorted({product for product in named if product}))


def parse_claims(inputs: NodeInputs) -> NodeClaims:
    """Returns what one node and its cluster declare. Never raises, whatever labels and quantities contain."""
    node, devices, previous = inputs.node, inputs.devices, inputs.previous
    everything, unreadable = _resources_of_status(node)
    by_labels = gfd.named_as({resource.profile for resource in everything.values() if resource.profile}, gfd.read(node.labels))
    if node.labels.get(labels.GPU_PRESENT) == "false":
        by_labels = gfd.Gfd()  # left behind by GFD when the GPUs were removed
    hints = cloud.read(node.labels)
    by_dra = dra.vendors(node.name, devices or ())
    slots = {resource.name: resource.capacity for resource in everything.values() if resource.capacity}
    shares = fractions.read(node, inputs.pods)
    vendor = _vendor(node, by_dra, slots, by_labels, hints, everything)
    if not vendor and (shares.gpus or shares.names or shares.integrated):
        vendor = "nvidia"
    claimed = _claimed(inputs)
    published = dra.view(node.name, devices, claimed, vendor) if devices else None
    resources = {name: resource for name, resource in everything.items() if labels.vendor_of_resource(name) == vendor}
    if not resources:  # DirectX names no vendor: on a node with a known vendor it counts for that vendor
        resources = {name: resource for name, resource in everything.items() if name in labels.DIRECTX}
    capacity = {name: amount for name, amount in slots.items() if name in resources}
    return NodeClaims(
        node=node,
        vendor=vendor,
        gfd=by_labels,
        cloud=hints,
        wanted=plugin_config.choose(node.labels, inputs.plugin),
        facts=vendors.read(vendor, node.labels, capacity),
        fractions=shares if vendor == "nvidia" else fractions.Fractions(),
        upgrade=driver_upgrade(node, inputs.pods, inputs.operator),
        resources=resources,
        capacity=capacity,
        others={name: amount for name, amount in slots.items() if name not in resources},
        unreadable=unreadable,
        dra=published,
        dra_pools=dra.pool_statuses(claimed),
        dra_known=devices is not None,
        gfd_left_behind=published is not None and not capacity and _is_left_behind(by_labels, inputs),
        pools_missing=tuple(
            pool for pool in inputs.incomplete_pools if node_of(pool) == node.name and labels.is_gpu_driver(pool.driver)
        ),
        previous=previous,
        labels_vanished=(
            previous is not None
            and vendor == "nvidia"
            and not by_labels.is_present
            and published is None
            and bool(previous.product or previous.physical)
            and previous.capacity == capacity != {}
        ),
        seen=tuple(inputs.measured_gpus),
    )


def _claimed(inputs: NodeInputs) -> dra.ClaimedDevices:
    """Returns what decides about the node's devices: pools and allocations as the allocator sees them."""
    inventory, allocated = inputs.inventory, inputs.allocated
    if inventory is None:
        slices = ResourceSlices(
            devices=tuple(inputs.devices or ()),
            incomplete_pools=tuple(inputs.incomplete_pools),
            counter_sets=tuple(inputs.counter_sets),
        )
        inventory = Inventory(slices)
    if allocated is None and inputs.allocations is not None:
        allocated = Allocated(inputs.allocations)
    return dra.ClaimedDevices(
        allocations=inputs.allocations,
        counter_sets=inputs.counter_sets,
        rules_known=inputs.taint_rules_known,
        set_aside=inputs.set_aside,
        pools=inventory.pools(DraNode(name=inputs.node.name, labels=inputs.node.labels)),
        allocated=None if inputs.allocations is None else allocated,
    )


def _resources_of_status(node: NodeSnapshot) -> tuple[dict[str, StatusResource], tuple[str, ...]]:
    resources: dict[str, StatusResource] = {}
    unreadable = []
    for name in sorted({*node.capacity, *node.allocatable}):
        if not labels.is_gpu_resource(name):
            continue
        capacity, allocatable = _units(node.capacity, name), _units(node.allocatable, name)
        if (capacity is None and name in node.capacity) or (allocatable is None and name in node.allocatable):
            unreadable.append(name)
        resources[name] = make_resource(name, capacity, allocatable)
    return resources, tuple(unreadable)


def _is_left_behind(by_labels: gfd.Gfd, inputs: NodeInputs) -> bool:
    """Returns whether GFD wrote the labels before DRA served the GPUs: it does not run, and they declare sharing.

    With a GPUCluster the operator runs no GFD at all (26.7), so any of its labels is stale.
    """
    pods = inputs.pods
    if not by_labels.is_present or pods is None or any(pod.component == "gpu-feature-discovery" for pod in pods):
        return False
    if inputs.operator is not None and inputs.operator.dra_mode:
        return True
    return (by_labels.replicas or 1) > 1 or by_labels.strategy in ("time-slicing", "mps")


def make_resource(name: str, capacity: int | None, allocatable: int | None) -> StatusResource:
    """Returns a resource with what its name states: kind, and the profile of MIG resources."""
    kind = labels.resource_kind(name)
    profile = ""
    if kind in ("mig", "mig-shared"):
        profile = canonical(labels.base_resource(name).removeprefix(labels.NVIDIA_MIG_PREFIX))
    return StatusResource(name=name, kind=kind, profile=profile, capacity=capacity, allocatable=allocatable)


def _units(resources: Mapping[str, str], name: str) -> int | None:
    """Returns the quantity of a resource.

    A missing key is 0 to the scheduler, unless the node has not reported resources at all.
    """
    if name not in resources:
        return 0 if resources else None
    return plausible(parse_units(resources[name]))


def _vendor(
    node: NodeSnapshot,
    by_dra: Sequence[str],
    slots: Mapping[str, int],
    by_labels: gfd.Gfd,
    hints: cloud.CloudHints,
    resources: Mapping[str, StatusResource],
) -> str:
    """Returns the vendor of the node's GPUs.

    NVIDIA where evidence other than slots shows its GPUs, else by ResourceSlices and advertised resources, then by detected,
    then by ordered hardware.

    Slots are no evidence about another vendor's GPUs: a processor's own graphics are advertised beside a broken GPU.
    """
    rows = [
        vendor
        for key, value in node.labels.items()
        if (vendor := _vendor_of_label(key)) and (value == "true" or not key.startswith(_NFD))
    ]
    is_present = by_labels.is_present or node.labels.get(labels.GPU_PRESENT) == "true"
    if is_present or "nvidia" in (*by_dra, *rows, hints.vendor):
        return "nvidia"
    if by_dra and by_dra[0] != "other":
        return by_dra[0]
    if slots:
        return max({labels.vendor_of_resource(name) for name in slots}, key=lambda vendor: _weight(vendor, slots))
    if rows or hints.vendor:
        return rows[0] if rows else hints.vendor
    if by_dra:
        return by_dra[0]
    return labels.vendor_of_resource(next(iter(resources))) if resources else ""


def _weight(vendor: str, slots: Mapping[str, int]) -> tuple[bool, int, bool, str]:
    """Returns the sort key of a vendor by slots alone.

    Intel's plugin shares GPUs (sharedDevNum) and advertises a processor's own graphics: its slots outweigh no other vendor's.
    """
    offered = sum(amount for name, amount in slots.items() if labels.vendor_of_resource(name) == vendor)
    return vendor != "intel", offered, vendor == "nvidia", vendor


@lru_cache(maxsize=16384)
def _vendor_of_label(key: str) -> str:
    """Returns the vendor of the GPU that a label of NFD or of a vendor's labeller stands for; empty for any other label."""
    if key.startswith(_NFD):
        if key in labels.NFD_AMD_GPU:
            return "amd"
        return labels.NFD_VENDOR_GPU.get(key) or pci.pci_gpu_vendor(key)
    if key.startswith((labels.AMD_LABEL, labels.AMD_LABEL_OLD)):
        return "amd"
    if key.startswith(labels.INTEL_LABEL):
        return "intel"
    return "habana" if key.startswith(labels.GAUDI) else ""
