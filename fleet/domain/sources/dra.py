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
from fleet.domain.sources.gfd import PLAUSIBLE, SHORT, label_form

_MINOR = re.compile(r"gpu-(\d{1,4})(?:-|$)", re.ASCII)
_PCI_LENGTH = 30
_BLOCKING = frozenset({"NoSchedule", "NoExecute"})
_Key = tuple[str, str, str]


class DraView(msgspec.Struct, frozen=True, kw_only=True):
    """The GPUs one node publishes through DRA."""

    vendor: str
    devices: int
    """Published devices that are GPUs, instances or possible placements."""
    cards: tuple[Card, ...]
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

    Physical cards are the distinct uuids of whole devices (gpu, vfio) and parents of MIG devices; a claim with admin access only
    watches and holds nothing; a card of which a MIG placement is held is no free card any more.
    """
    mine = [device for device in devices if node_of(device) == node_name and is_gpu_device(device)]
    mine = [device for device in mine if not vendor or labels.vendor_of_driver(device.driver) in (vendor, "other")]
    if not mine:
        return None
    held = _held(mine, allocations)
    whole = [device for device in mine if not _is_mig(device)]
    parts = [device for device in mine if _is_mig(device)]
    by_minor = {_minor(device): _card_id(device) for device in whole if _minor(device) is not None}
    parents = {id(part): part.parent_uuid or by_minor.get(_minor(part)) or _nameless_parent(part) for part in parts}
    used = None if held is None else _used_cards(whole, parts, parents, held)
    instances = [part for part in parts if part.uuid or (held is not None and _key(part) in held)]
    cards = _cards(whole, parts, parents, used, {parents[id(part)] for part in instances})
    dynamic = any(not part.uuid for part in parts)
    first = next((device for device in mine if device.product), mine[0])
    return DraView(
        vendor=labels.vendor_of_driver(first.driver),
        devices=len(mine),
        cards=cards,
        mig_devices=tuple(
            MigDevice(
                profile=_profile(part),
                uuid=part.uuid,
                parent_uuid=part.parent_uuid,
                gpu_index=_minor(part),
                memory_mib=_mib(part),
                source="resource_slice",
                held=None if held is None else _key(part) in held,
            )
            for part in instances
        ),
        dynamic=dynamic,
        instances_known=not dynamic or held is not None,
        resources=_resources(whole, [part for part in parts if part.uuid], used, held),
        tainted=tuple(sorted(device.name for device in mine if _blocked(device))),
        products=tuple(sorted({label_form(device.product) for device in mine if device.product})),
        memory_mib=max((card.memory_mib for card in cards if card.memory_mib), default=None),
        architecture=next((device.architecture for device in mine if device.architecture), ""),
        driver_version=next((device.driver_version for device in mine if device.driver_version), ""),
        cuda_version=_short(next((device.cuda_version for device in mine if device.cuda_version), "")),
    )


def _held(mine: Sequence[DraDevice], allocations: Sequence[DraAllocation] | None) -> set[_Key] | None:
    """Devices of this node's pools that claims hold, also such as are no longer published."""
    if allocations is None:
        return None
    pools = {(device.driver, device.pool) for device in mine}
    return {
        (allocation.driver, allocation.pool, allocation.device)
        for allocation in allocations
        if not allocation.admin_access and (allocation.driver, allocation.pool) in pools
    }


def _used_cards(whole: Sequence[DraDevice], parts: Sequence[DraDevice], parents: dict[int, str], held: set[_Key]) -> set[str]:
    """Cards of which a claim holds the whole or a part."""
    return {_card_id(device) for device in whole if _key(device) in held} | {
        parents[id(part)] for part in parts if _key(part) in held
    }


def _cards(
    whole: Sequence[DraDevice],
    parts: Sequence[DraDevice],
    parents: dict[int, str],
    used: set[str] | None,
    cut: set[str],
) -> tuple[Card, ...]:
    cards: dict[str, Card] = {}
    for device in whole:
        identity = _card_id(device)
        if identity not in cards:
            cards[identity] = _card(device, device.uuid, _mib(device), cut=identity in cut)
    for part in parts:
        identity = parents[id(part)]
        if identity not in cards:
            model = find(part.product)
            cards[identity] = _card(part, part.parent_uuid, model.memory_mib if model else None, cut=True)
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
    whole: Sequence[DraDevice], instances: Sequence[DraDevice], used: set[str] | None, held: set[_Key] | None
) -> tuple[ResourceSlots, ...]:
    known = {_key(device) for device in (*whole, *instances)}
    groups: dict[tuple[str, str], dict[str, DraDevice]] = {}
    seen: set[str] = set()
    # vfio devices name the same cards again where a driver offers both ways: whichever stands first is the slot.
    for device in sorted(whole, key=lambda device: device.type == "vfio"):
        identity = _card_id(device)
        if identity not in seen:
            seen.add(identity)
            groups.setdefault(_class_of(device), {})[identity] = device
    found = []
    for (name, kind), devices in groups.items():
        busy = None if used is None else len(used & devices.keys())
        if busy is not None and held is not None and kind == "dra-gpu":
            # A claim on a device that is no longer published holds its slot until the claim is freed.
            busy += sum(1 for key in held if key not in known and key[0] == name and "-mig-" not in key[2])
        found.append(_slots(name, kind, list(devices.values()), busy))
    if instances:
        busy = None if held is None else sum(1 for device in instances if _key(device) in held)
        profiles = {_profile(device) for device in instances}
        profile = profiles.pop() if len(profiles) == 1 else ""
        found.append(_slots(labels.DRA_NVIDIA_MIG_CLASS, "dra-mig", instances, busy, profile))
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
    return any(taint.effect in _BLOCKING for taint in device.taints)


def _key(device: DraDevice) -> _Key:
    return (device.driver, device.pool, device.name)


def _card_id(device: DraDevice) -> str:
    return device.uuid or f"{device.driver}/{device.pool}/{device.name}"


def _nameless_parent(part: DraDevice) -> str:
    return f"{part.driver}/{part.pool}/gpu-{_minor(part)}"


def _minor(device: DraDevice) -> int | None:
    match = _MINOR.match(device.name)
    return int(match[1]) if match else None


def _profile(device: DraDevice) -> str:
    return canonical(device.profile)[:SHORT]


def _mib(device: DraDevice) -> int | None:
    mib = to_mib(device.memory_bytes)
    return mib if mib is not None and mib <= PLAUSIBLE else None


def _short(version: str) -> str:
    """12.8 of 12.8.0: the form the other sources use."""
    return ".".join(version.split(".")[:2])
