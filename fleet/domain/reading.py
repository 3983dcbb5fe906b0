"""One node's own words, read once: the common ground of everything that judges its devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from fleet.domain import labels
from fleet.domain.gpu_nodes import node_of
from fleet.domain.mig import canonical
from fleet.domain.quantities import parse_units
from fleet.domain.seen import SeenCard
from fleet.domain.snapshot import (
    DevicePluginConfigs,
    DraAllocation,
    DraDevice,
    IncompletePool,
    NodeSnapshot,
)
from fleet.domain.sources import cloud, dra, gfd, plugin_config, vendors
from fleet.domain.sources.gfd import PLAUSIBLE


class Previous(msgspec.Struct, frozen=True, kw_only=True):
    """What was known of the node before, for the minute in which GFD rewrites its labels (domain.devices.remember).

    Whoever passes it on decides for how long an old truth may stand in for labels that are not there.
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
    """Capacity by resource, zeros left out: the old truth holds only while this stays the same."""


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU resource as the node's status has it. None is a quantity that cannot be read."""

    name: str
    kind: str
    profile: str = ""
    """MIG profile for mig resources."""
    capacity: int | None
    allocatable: int | None


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the node and its cluster say about its GPUs, typed, not yet judged."""

    node: NodeSnapshot
    vendor: str
    gfd: gfd.Gfd
    cloud: cloud.CloudHints
    wanted: plugin_config.Wanted
    facts: vendors.VendorFacts
    offers: dict[str, Offer]
    """GPU resources in capacity or allocatable, by name; zeros included."""
    capacity: dict[str, int]
    """Capacity by resource, where it is known and above zero."""
    unreadable: tuple[str, ...]
    """Names of GPU resources whose quantity cannot be read."""
    dra: dra.DraView | None
    dra_known: bool
    pools_missing: tuple[IncompletePool, ...]
    previous: Previous | None
    labels_vanished: bool
    """GFD's labels are gone while the node offers exactly what it offered before, when they were there."""
    seen: tuple[SeenCard, ...] = ()
    """Cards that telemetry names, by bus address."""


def read(
    node: NodeSnapshot,
    *,
    plugin: DevicePluginConfigs | None,
    devices: Sequence[DraDevice] | None,
    allocations: Sequence[DraAllocation] | None,
    incomplete_pools: Sequence[IncompletePool] = (),
    previous: Previous | None = None,
    seen: Sequence[SeenCard] = (),
) -> Reading:
    """Reads one node; never raises, whatever stands in labels and quantities."""
    offers, unreadable = _offers(node)
    by_labels = gfd.read(node.labels)
    if node.labels.get(labels.GPU_PRESENT) == "false":
        by_labels = gfd.Gfd()  # what GFD left behind when the GPUs went
    hints = cloud.read(node.labels)
    published = dra.view(node.name, devices, allocations) if devices else None
    capacity = {offer.name: offer.capacity for offer in offers.values() if offer.capacity}
    vendor = _vendor(node, published, capacity, by_labels, hints, offers)
    return Reading(
        node=node,
        vendor=vendor,
        gfd=by_labels,
        cloud=hints,
        wanted=plugin_config.choose(node.labels, plugin),
        facts=vendors.read(vendor, node.labels, capacity),
        offers=offers,
        capacity=capacity,
        unreadable=unreadable,
        dra=published,
        dra_known=devices is not None,
        pools_missing=tuple(
            pool for pool in incomplete_pools if node_of(pool) == node.name and labels.is_gpu_driver(pool.driver)
        ),
        previous=previous,
        labels_vanished=(
            previous is not None
            and vendor == "nvidia"
            and not by_labels.found
            and published is None
            and bool(previous.product or previous.physical)
            and previous.capacity == capacity != {}
        ),
        seen=tuple(seen),
    )


def _offers(node: NodeSnapshot) -> tuple[dict[str, Offer], tuple[str, ...]]:
    found: dict[str, Offer] = {}
    unreadable = []
    for name in sorted({*node.capacity, *node.allocatable}):
        if not labels.is_gpu_resource(name):
            continue
        capacity, allocatable = _units(node.capacity, name), _units(node.allocatable, name)
        if (capacity is None and name in node.capacity) or (allocatable is None and name in node.allocatable):
            unreadable.append(name)
        found[name] = make_offer(name, capacity, allocatable)
    return found, tuple(unreadable)


def make_offer(name: str, capacity: int | None, allocatable: int | None) -> Offer:
    """An offer with what its name tells: kind, and the profile of MIG resources."""
    kind = labels.resource_kind(name)
    profile = ""
    if kind in ("mig", "mig-shared"):
        profile = canonical(labels.base_resource(name).removeprefix(labels.NVIDIA_MIG_PREFIX))
    return Offer(name=name, kind=kind, profile=profile, capacity=capacity, allocatable=allocatable)


def _units(resources: Mapping[str, str], name: str) -> int | None:
    """A missing key is 0 to the scheduler, unless the node has not reported resources at all."""
    if name not in resources:
        return 0 if resources else None
    units = parse_units(resources[name])
    return units if units is not None and units <= PLAUSIBLE else None


def _vendor(
    node: NodeSnapshot,
    published: dra.DraView | None,
    capacity: Mapping[str, int],
    by_labels: gfd.Gfd,
    hints: cloud.CloudHints,
    offers: Mapping[str, Offer],
) -> str:
    """The vendor of the node's GPUs: by what is offered, then by what was found, then by what was ordered."""
    if published is not None and published.vendor != "other":
        return published.vendor
    if capacity:
        return labels.vendor_of_resource(max(sorted(capacity), key=lambda name: capacity[name]))
    if by_labels.found or node.labels.get(labels.GPU_PRESENT) == "true":
        return "nvidia"
    for key, value in node.labels.items():
        if value == "true" and key.startswith((labels.NFD, labels.NFD_INTEL_GPU)):
            vendor = labels.pci_gpu_vendor(key) or {labels.NFD_INTEL_GPU: "intel"}.get(key, "")
            if key in labels.NFD_AMD_GPU:
                vendor = "amd"
            if vendor:
                return vendor
        elif key.startswith((labels.AMD_LABEL, labels.AMD_LABEL_OLD)):
            return "amd"
        elif key.startswith(labels.INTEL_LABEL):
            return "intel"
        elif key.startswith(labels.GAUDI):
            return "habana"
    if hints.vendor or published is not None:
        return hints.vendor or "other"
    return labels.vendor_of_resource(next(iter(offers))) if offers else ""
