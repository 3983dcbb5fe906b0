"""One node's own words, read once: the common ground of everything that judges its devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

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

_NFD = (labels.NFD, labels.NFD_INTEL_GPU)


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
    """GPU resources of this vendor in capacity or allocatable, by name; zeros included."""
    capacity: dict[str, int]
    """Capacity by resource of this vendor, where it is known and above zero."""
    others: dict[str, int]
    """The same of other vendors' resources: they tell nothing of this vendor's cards, and are not counted as such."""
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
    everything, unreadable = _offers(node)
    by_labels = gfd.read(node.labels)
    if node.labels.get(labels.GPU_PRESENT) == "false":
        by_labels = gfd.Gfd()  # what GFD left behind when the GPUs went
    hints = cloud.read(node.labels)
    by_dra = dra.vendors(node.name, devices or ())
    slots = {offer.name: offer.capacity for offer in everything.values() if offer.capacity}
    vendor = _vendor(node, by_dra, slots, by_labels, hints, everything)
    published = dra.view(node.name, devices, allocations, vendor) if devices else None
    offers = {name: offer for name, offer in everything.items() if labels.vendor_of_resource(name) == vendor}
    capacity = {name: amount for name, amount in slots.items() if name in offers}
    return Reading(
        node=node,
        vendor=vendor,
        gfd=by_labels,
        cloud=hints,
        wanted=plugin_config.choose(node.labels, plugin),
        facts=vendors.read(vendor, node.labels, capacity),
        offers=offers,
        capacity=capacity,
        others={name: amount for name, amount in slots.items() if name not in offers},
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
    by_dra: Sequence[str],
    slots: Mapping[str, int],
    by_labels: gfd.Gfd,
    hints: cloud.CloudHints,
    offers: Mapping[str, Offer],
) -> str:
    """The vendor whose GPUs this node is about: NVIDIA's wherever anything independent of slots tells of its cards, else by
    what is published and offered, then by what was found, then by what was ordered.

    Slots prove nothing about another vendor's cards: a processor's own graphics are offered as well beside a dead card.
    """
    found = [
        vendor
        for key, value in node.labels.items()
        if (vendor := _vendor_of_label(key)) and (value == "true" or not key.startswith(_NFD))
    ]
    told = by_labels.found or node.labels.get(labels.GPU_PRESENT) == "true"
    if told or "nvidia" in (*by_dra, *found, hints.vendor):
        return "nvidia"
    if by_dra and by_dra[0] != "other":
        return by_dra[0]
    if slots:
        return max({labels.vendor_of_resource(name) for name in slots}, key=lambda vendor: _weight(vendor, slots))
    if found or hints.vendor:
        return found[0] if found else hints.vendor
    if by_dra:
        return by_dra[0]
    return labels.vendor_of_resource(next(iter(offers))) if offers else ""


def _weight(vendor: str, slots: Mapping[str, int]) -> tuple[bool, int, bool, str]:
    """Which of several vendors weighs most by slots alone. Intel's plugin shares cards (sharedDevNum) and offers a processor's
    own graphics: its number of slots outweighs nobody's cards."""
    offered = sum(amount for name, amount in slots.items() if labels.vendor_of_resource(name) == vendor)
    return vendor != "intel", offered, vendor == "nvidia", vendor


@lru_cache(maxsize=16384)
def _vendor_of_label(key: str) -> str:
    """The vendor of the GPU that a label of NFD or of a vendor's labeller stands for; empty for any other label."""
    if key.startswith(_NFD):
        if key in labels.NFD_AMD_GPU:
            return "amd"
        return "intel" if key == labels.NFD_INTEL_GPU else labels.pci_gpu_vendor(key)
    if key.startswith((labels.AMD_LABEL, labels.AMD_LABEL_OLD)):
        return "amd"
    if key.startswith(labels.INTEL_LABEL):
        return "intel"
    return "habana" if key.startswith(labels.GAUDI) else ""
