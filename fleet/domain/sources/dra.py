"""What ResourceSlices and claims say about one node (Dynamic Resource Allocation)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from fleet.domain import labels
from fleet.domain.cards import Card, MigDevice
from fleet.domain.catalog.gpus import find
from fleet.domain.gpu_nodes import is_gpu_device, node_of
from fleet.domain.mig import canonical
from fleet.domain.quantities import to_mib
from fleet.domain.slots import ResourceSlots, minus
from fleet.domain.snapshot import DraAllocation, DraDevice
from fleet.domain.sources import dra_partitions
from fleet.domain.sources.dra_claims import Key, Sharers, held_by_claims, key_of, sharers
from fleet.domain.sources.dra_partitions import Cards, Partitions, partition_mode
from fleet.domain.sources.gfd import PLAUSIBLE, SHORT, label_form

_MINOR = re.compile(r"gpu-(\d{1,4})(?:-|$)", re.ASCII)
_PCI_LENGTH = 30
_BLOCKING = frozenset({"NoSchedule", "NoExecute"})


class DraView(msgspec.Struct, frozen=True, kw_only=True):
    """The GPUs one node publishes through DRA."""

    vendor: str
    devices: int
    """Published devices that are GPUs, instances or possible placements."""
    cards: tuple[Card, ...]
    cards_known: bool = True
    """False where parts of cards are published and do not tell of which: then `cards` counts nothing."""
    partitions: tuple[str, ...] = ()
    """The mode of each part of a card that exists and is no MIG instance; empty text where the driver tells no mode."""
    sharers: Sharers | None = None
    """Devices that more than one workload holds; None where claims are unread."""
    mig_devices: tuple[MigDevice, ...]
    """Instances that exist: created beforehand, or held now."""
    dynamic: bool
    """The driver offers placements and cuts instances on demand: placements are no instances."""
    instances_known: bool
    resources: tuple[ResourceSlots, ...]
    tainted: tuple[str, ...] = ()
    """Devices that a device taint takes from the scheduler."""
    products: tuple[str, ...] = ()
    memory_mib: int | None = None
    architecture: str = ""
    driver_version: str = ""
    cuda_version: str = ""


def vendors(node_name: str, devices: Sequence[DraDevice]) -> list[str]:
    """Vendors of the GPUs the node publishes, in the order of its devices; "other" is a driver of nobody known."""
    mine = [device for device in devices if node_of(device) == node_name and is_gpu_device(device)]
    named = sorted(mine, key=lambda device: not device.product)  # a device that tells its product tells most
    return list(dict.fromkeys(labels.vendor_of_driver(device.driver) for device in named))


def view(
    node_name: str, devices: Sequence[DraDevice], allocations: Sequence[DraAllocation] | None, vendor: str = ""
) -> DraView | None:
    """The node's GPUs of one vendor by DRA; None where it publishes none. Without `allocations` what is requested stays
    unknown. Devices of drivers of nobody known may be any vendor's cards, and count. An empty `vendor` takes all.

    Physical cards are the distinct PCI addresses (else uuids) of devices that are no MIG instances, and the parents of those
    that are; a claim with admin access only watches and holds nothing; a card of which a part is held is no free card any more.
    """
    mine = [device for device in devices if node_of(device) == node_name and is_gpu_device(device)]
    mine = [device for device in mine if not vendor or labels.vendor_of_driver(device.driver) in (vendor, "other")]
    if not mine:
        return None
    held = held_by_claims(mine, allocations)
    migs = [device for device in mine if _is_mig(device)]
    others = [device for device in mine if not _is_mig(device)]
    cards_of = dra_partitions.cards_of(others)
    parts = dra_partitions.find_partitions(others, cards_of)
    cut = {id(device) for device in (*parts.existing, *parts.on_demand)}
    whole = [device for device in others if id(device) not in cut]
    by_minor = {_minor(device): cards_of[id(device)] for device in whole if _minor(device) is not None}
    by_uuid = {device.uuid: cards_of[id(device)] for device in whole}
    for mig in migs:
        told = by_uuid.get(mig.parent_uuid, mig.parent_uuid) if mig.parent_uuid else by_minor.get(_minor(mig))
        cards_of[id(mig)] = told or f"{mig.driver}/{mig.pool}/gpu-{_minor(mig)}"
    used = None if held is None else {cards_of[id(device)] for device in mine if key_of(device) in held}
    instances = [mig for mig in migs if mig.uuid or (held is not None and key_of(mig) in held)]
    cards = _cards(whole, (*parts.existing, *migs), cards_of, used, {cards_of[id(mig)] for mig in instances})
    dynamic = any(not mig.uuid for mig in migs)
    first = next((device for device in mine if device.product), mine[0])
    return DraView(
        vendor=labels.vendor_of_driver(first.driver),
        devices=len(mine),
        cards=cards,
        cards_known=parts.cards_known,
        partitions=parts.modes(held),
        sharers=sharers(mine, allocations, divisible={key_of(device) for device in parts.on_demand}),
        mig_devices=tuple(
            MigDevice(
                profile=_profile(mig),
                uuid=mig.uuid,
                parent_uuid=mig.parent_uuid,
                gpu_index=_minor(mig),
                memory_mib=_mib(mig),
                source="resource_slice",
                held=None if held is None else key_of(mig) in held,
            )
            for mig in instances
        ),
        dynamic=dynamic,
        instances_known=not dynamic or held is not None,
        resources=_resources(whole, parts, [mig for mig in migs if mig.uuid], cards_of, used, held),
        tainted=tuple(sorted(device.name for device in mine if _blocked(device))),
        products=tuple(sorted({label_form(device.product) for device in mine if device.product})),
        memory_mib=max((card.memory_mib for card in cards if card.memory_mib), default=None),
        architecture=next((device.architecture for device in mine if device.architecture), ""),
        driver_version=next((device.driver_version for device in mine if device.driver_version), ""),
        cuda_version=_short(next((device.cuda_version for device in mine if device.cuda_version), "")),
    )


def _cards(
    whole: Sequence[DraDevice],
    parts: Sequence[DraDevice],
    cards_of: Cards,
    used: set[str] | None,
    cut: set[str],
) -> tuple[Card, ...]:
    cards: dict[str, Card] = {}
    for device in whole:
        identity = cards_of[id(device)]
        if identity not in cards:
            cards[identity] = _card(device, device.uuid, _mib(device), cut=identity in cut)
    for part in parts:
        identity = cards_of[id(part)]
        if identity not in cards:
            model = find(part.product)  # what a part has in memory is not its card's
            card = _card(part, part.parent_uuid, model.memory_mib if model else None, cut=_is_mig(part))
            cards[identity] = card if _is_mig(part) else msgspec.structs.replace(card, index=None)
    if used is None:
        return tuple(cards.values())
    return tuple(msgspec.structs.replace(card, held=identity in used) for identity, card in cards.items())


def _card(device: DraDevice, uuid: str, memory_mib: int | None, *, cut: bool) -> Card:
    return Card(
        index=_minor(device),
        uuid=uuid,
        product=label_form(device.product),
        memory_mib=memory_mib,
        pci_bus_id="" if _is_mig(device) else device.pci_bus_id[:_PCI_LENGTH],
        source="resource_slice",
        mig_enabled=cut,
    )


def _resources(
    whole: Sequence[DraDevice],
    partitions: Partitions,
    instances: Sequence[DraDevice],
    cards_of: Cards,
    used: set[str] | None,
    held: set[Key] | None,
) -> tuple[ResourceSlots, ...]:
    known = {key_of(device) for device in (*whole, *partitions.existing, *partitions.on_demand, *instances)}
    groups: dict[tuple[str, str], list[DraDevice]] = {}
    busy: dict[tuple[str, str], int] = {}
    taken: set[str] = set()

    def add(device: DraDevice, *, is_busy: bool) -> None:
        group = _class_of(device)
        groups.setdefault(group, []).append(device)
        busy[group] = busy.get(group, 0) + is_busy

    for device in partitions.existing:
        taken.add(cards_of[id(device)])
        add(device, is_busy=key_of(device) in (held or ()))
    # vfio devices name the same cards again where a driver offers both ways: whichever stands first is the slot.
    for device in sorted(whole, key=lambda device: device.type == "vfio"):
        identity = cards_of[id(device)]
        if identity not in taken:
            taken.add(identity)
            add(device, is_busy=identity in (used or ()))
    found = []
    cut = {key_of(device) for device in partitions.existing}
    for (name, kind), devices in groups.items():
        if kind == "dra-gpu":
            # A claim on a device that is no longer published holds its slot until the claim is freed.
            busy[name, kind] += sum(1 for key in held or () if key not in known and key[0] == name and "-mig-" not in key[2])
        # One class hands out whole cards and parts alike: where there are parts, nobody who asks it is sure of a card.
        modes = {partition_mode(device) if key_of(device) in cut else "" for device in devices}
        some_cut = any(key_of(device) in cut for device in devices)
        told = modes.pop() if some_cut and len(modes) == 1 else ""
        in_use = None if held is None else busy[name, kind]
        found.append(_slots(name, "dra-partition" if some_cut else kind, devices, in_use, told))
    if instances:
        in_use = None if held is None else sum(1 for device in instances if key_of(device) in held)
        profiles = {_profile(device) for device in instances}
        profile = profiles.pop() if len(profiles) == 1 else ""
        found.append(_slots(labels.DRA_NVIDIA_MIG_CLASS, "dra-mig", instances, in_use, profile))
    return tuple(found)


def _slots(name: str, kind: str, devices: Sequence[DraDevice], busy: int | None, profile: str = "") -> ResourceSlots:
    allocatable = sum(1 for device in devices if not _blocked(device))
    return ResourceSlots(
        name=name,
        kind=kind,
        profile=profile,
        replicas=1,
        capacity=len(devices),
        allocatable=allocatable,
        requested=busy,
        free=minus(allocatable, busy),
    )


def _class_of(device: DraDevice) -> tuple[str, str]:
    """The DeviceClass that whole devices are asked by, and the kind of slot; other vendors' by their driver's name."""
    if device.driver == labels.DRA_NVIDIA_GPU and device.type == "vfio":
        return labels.DRA_NVIDIA_VFIO_CLASS, "dra-vfio"
    return device.driver, "dra-gpu"


def _is_mig(device: DraDevice) -> bool:
    return device.type == "mig" or (not device.type and bool(device.parent_uuid or "-mig-" in device.name))


def _blocked(device: DraDevice) -> bool:
    return any(taint.effect in _BLOCKING and taint.key not in labels.DRA_LAYOUT_TAINTS for taint in device.taints)


def _minor(device: DraDevice) -> int | None:
    match = _MINOR.match(device.name)
    return int(match[1]) if match else None


def _profile(device: DraDevice) -> str:
    return canonical(device.profile)[:SHORT]


def _mib(device: DraDevice) -> int | None:
    mib = to_mib(device.memory_bytes)
    return mib if mib and mib <= PLAUSIBLE else None  # AMD's driver writes 0 for what it cannot read


def _short(version: str) -> str:
    """12.8 of 12.8.0: the form the other sources use."""
    return ".".join(version.split(".")[:2])
