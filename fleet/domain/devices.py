"""The truth about a node's devices: physical GPUs, partitioning, sharing, slots, each with its evidence.

`describe` is the one entry. None in an answer is "nobody can know this from what was read"; it is never 0 and never a guess.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fleet.domain import labels, offering, physical, remarks, requests
from fleet.domain.cards import Card, MigDevice
from fleet.domain.findings import Evidence, Remark
from fleet.domain.inventory import list_cards, list_mig_devices
from fleet.domain.layout import lay_out
from fleet.domain.modes import mode, node_sharing, parts, whole_cards
from fleet.domain.naming import identify
from fleet.domain.proof import collect_evidence
from fleet.domain.reading import Previous, Reading, read
from fleet.domain.remarks.counts import about_count, missing_devices
from fleet.domain.remarks.node import about_node
from fleet.domain.remarks.presence import about_presence
from fleet.domain.remarks.resources import about_resources
from fleet.domain.remarks.sharing import about_sharing
from fleet.domain.remarks.slots import about_slots
from fleet.domain.remarks.unread import about_unread
from fleet.domain.seen import SeenCard
from fleet.domain.sharing import isolation
from fleet.domain.slots import ResourceSlots, Slots, total
from fleet.domain.snapshot import (
    DevicePluginConfigs,
    DraAllocation,
    DraDevice,
    IncompletePool,
    NodeSnapshot,
    PodSnapshot,
)
from fleet.domain.sources.dra_claims import Sharers

__all__ = [
    "Card",
    "MigDevice",
    "NodeDevices",
    "Previous",
    "ResourceSlots",
    "Slots",
    "describe",
    "missing_devices",
    "remember",
]


_STATE_LENGTH = 30


class NodeDevices(msgspec.Struct, frozen=True, kw_only=True):
    """Everything Muster says about the GPUs of one node."""

    vendor: str
    """nvidia, amd, intel, habana, other; empty where nothing tells."""
    product: str
    """One name per product, in the spelling of GFD's label, without the suffixes for sharing and MIG; empty if unknown."""
    products: tuple[str, ...]
    family: str
    architecture: str
    gpu_memory_mib: int | None
    """Of ONE physical card, also where the label tells a MIG instance's."""
    driver_version: str
    cuda_version: str
    """Highest CUDA version the driver supports."""
    physical: int | None
    physical_source: str
    """resource_slice, dcgm, previous, label, cloud, config or capacity; empty when unknown."""
    physical_is_lower_bound: bool
    partitioning: str | None
    """none, mig-single or mig-mixed."""
    sharing: str | None
    """exclusive, time-slicing or mps."""
    replicas: int | None
    """Slots per device; None when unknown or when resources differ (they carry their own)."""
    mode: str
    isolation: str
    mig_instances: dict[str, int] | None
    """Instances by profile; {} is none, None is unknown."""
    mig_desired: str
    mig_state: str
    resources: tuple[ResourceSlots, ...]
    slots: Slots
    cards: tuple[Card, ...]
    mig_devices: tuple[MigDevice, ...]
    advertised: str
    """full, partial, none or unknown: what the node offers against what its devices predict."""
    reason: str
    """One plain sentence for a list of nodes; empty when nothing is remarkable."""
    evidence: tuple[Evidence, ...]
    remarks: tuple[Remark, ...]


def describe(
    node: NodeSnapshot,
    *,
    pods: Sequence[PodSnapshot] | None,
    plugin: DevicePluginConfigs | None,
    devices: Sequence[DraDevice] | None,
    allocations: Sequence[DraAllocation] | None,
    incomplete_pools: Sequence[IncompletePool] = (),
    previous: Previous | None = None,
    seen_cards: Sequence[SeenCard] = (),
) -> NodeDevices:
    """Everything that can be said about one node's GPUs. Never raises, whatever stands in labels and quantities.

    `pods` are those of this node; `devices` and `allocations` may hold other nodes' too, but the fewer the faster. None means
    that the section could not be read: then what depends on it is None, and a remark says so. `seen_cards` are those that
    telemetry names.
    """
    seen = read(
        node,
        plugin=plugin,
        devices=devices,
        allocations=allocations,
        incomplete_pools=incomplete_pools,
        previous=previous,
        seen=seen_cards,
    )
    layout = lay_out(seen)
    forces = offering.forces(seen, layout)
    held = None if pods is None else requests.requested_by_resource(pods)
    offered = offering.offer_slots(seen, layout, forces, held)
    counted = physical.count(seen, layout, forces)
    shared = node_sharing(seen, forces, offered)
    identity = identify(seen, layout)
    before = seen.previous if seen.labels_vanished else None
    partitioning = before.partitioning if before else layout.partitioning
    sharing = before.sharing if before else shared.sharing
    said = remarks.sort(
        (
            *about_node(seen),
            *about_slots(seen, offered, pods),
            *about_presence(seen, offered, counted),
            *about_count(seen, counted),
            *about_resources(seen, layout, offered),
            *about_sharing(seen, forces, offered),
            *about_unread(seen, offered, pods=pods, allocations=allocations, sharing=sharing),
        )
    )
    return NodeDevices(
        vendor=seen.vendor,
        product=identity.product,
        products=identity.products,
        family=identity.family,
        architecture=identity.architecture,
        gpu_memory_mib=identity.memory_mib,
        driver_version=identity.driver_version,
        cuda_version=identity.cuda_version,
        physical=counted.count,
        physical_source=counted.source,
        physical_is_lower_bound=counted.lower_bound,
        partitioning=partitioning,
        sharing=sharing,
        replicas=before.replicas if before else shared.replicas,
        mode=mode(seen, layout, shared, offered, counted),
        isolation=isolation(
            partitioning,
            sharing,
            shared=shared.shared,
            whole_cards_too=whole_cards(seen, offered) > 0,
            parts=parts(seen, offered, forces),
            sharers=seen.dra.sharers if seen.dra else Sharers(),
        ),
        mig_instances=before.mig_instances if before else layout.mig_instances,
        mig_desired=node.labels.get(labels.MIG_CONFIG, ""),
        mig_state=node.labels.get(labels.MIG_CONFIG_STATE, "")[:_STATE_LENGTH],
        resources=offered.resources,
        slots=_totals(seen, offered, pods_known=pods is not None),
        cards=list_cards(seen, layout, counted, identity, pods),
        mig_devices=list_mig_devices(seen, layout, pods),
        advertised=offering.advertised(seen, offered, forces, counted.count),
        reason=remarks.reason(said),
        evidence=collect_evidence(seen, counted),
        remarks=said,
    )


def remember(devices: NodeDevices) -> Previous:
    """What to hand to the next `describe` of the same node as `previous`."""
    return Previous(
        product=devices.product,
        products=devices.products,
        family=devices.family,
        gpu_memory_mib=devices.gpu_memory_mib,
        physical=devices.physical,
        physical_is_lower_bound=devices.physical_is_lower_bound,
        partitioning=devices.partitioning,
        sharing=devices.sharing,
        replicas=devices.replicas,
        mode=devices.mode,
        mig_instances=devices.mig_instances,
        capacity={slots.name: slots.capacity for slots in devices.resources if slots.capacity},
    )


def _totals(seen: Reading, offered: offering.Offering, *, pods_known: bool) -> Slots:
    if not offered.resources and not seen.node.capacity:
        return Slots()
    totals = total(offered.resources, leave_out=offered.leave_out)
    if pods_known or offered.resources:
        return totals
    return msgspec.structs.replace(totals, requested=None, free=None)
