"""Slots of a node's DRA devices by device class: whole GPUs, parts, shares, and GPUs that are cut on demand."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fleet.domain import labels
from fleet.domain.devices.mig import canonical
from fleet.domain.devices.slots import UNBOUNDED, ResourceSlots, add
from fleet.domain.devices.sources.dra_claims import Key, key_of
from fleet.domain.devices.sources.dra_partitions import Cards, Partitions, partition_mode
from fleet.domain.devices.sources.gfd import SHORT, plausible
from fleet.domain.dra.allocated import Allocated
from fleet.domain.dra.consumable import shares_left
from fleet.domain.dra.room import Room
from fleet.domain.dra.taints import BLOCKING
from fleet.domain.snapshot import DraDevice


class DeviceGroups(msgspec.Struct, frozen=True, kw_only=True):
    """A node's devices, sorted by what each is."""

    whole: Sequence[DraDevice]
    partitions: Partitions
    instances: Sequence[DraDevice]
    """MIG instances made beforehand."""
    placements: Sequence[DraDevice]
    """MIG instances that could be made."""
    cards_of: Cards
    used: set[str] | None
    """GPUs of which something is held; None where claims were not read."""
    held: set[Key] | None
    allocated: Allocated | None
    room: Room | None = None
    """What the allocator still gives out of the node's pools; None where claims were not read."""
    taints_known: bool = True
    """Whether DeviceTaintRules were read: without them nothing is known to be free."""


def slots_of(groups: DeviceGroups) -> tuple[ResourceSlots, ...]:
    """Returns the slots of each class; a GPU that is published in several ways counts once."""
    rows = _by_class(groups)
    if groups.instances:
        profiles = {profile_of(device) for device in groups.instances}
        profile = profiles.pop() if len(profiles) == 1 else ""
        busy = None if groups.held is None else sum(1 for device in groups.instances if key_of(device) in groups.held)
        rows.append(_row(groups, labels.DRA_NVIDIA_MIG_CLASS, "dra-mig", groups.instances, busy, profile))
    names = {row.name for row in rows}
    for row in _cut_on_demand(groups):
        # one name, one row: the class hands out both what exists and what is cut
        rows.append(msgspec.structs.replace(row, name=f"{row.name} (cut on demand)") if row.name in names else row)
    return tuple(rows)


def is_kept_back(device: DraDevice) -> bool:
    """Returns whether a taint keeps the device from the scheduler, other than one that follows from how its GPU is cut."""
    return any(taint.effect in BLOCKING and taint.key not in labels.DRA_LAYOUT_TAINTS for taint in device.taints)


def profile_of(device: DraDevice) -> str:
    return canonical(device.profile)[:SHORT]


def _by_class(groups: DeviceGroups) -> list[ResourceSlots]:
    members: dict[tuple[str, str], list[DraDevice]] = {}
    busy: dict[tuple[str, str], int] = {}
    taken: set[str] = set()
    partitions, held, used = groups.partitions, groups.held or set(), groups.used or set()

    def add(device: DraDevice, *, is_busy: bool) -> None:
        group = _class_of(device)
        members.setdefault(group, []).append(device)
        busy[group] = busy.get(group, 0) + is_busy

    for device in partitions.existing:
        taken.add(groups.cards_of[id(device)])
        add(device, is_busy=key_of(device) in held)
    # vfio devices name the same GPUs again where a driver offers both ways: whichever comes first is the slot.
    for device in sorted(groups.whole, key=lambda device: device.type == "vfio"):
        identity = groups.cards_of[id(device)]
        if identity not in taken:
            taken.add(identity)
            add(device, is_busy=identity in used)
    known = {key_of(device) for device in (*groups.whole, *partitions.existing, *partitions.on_demand, *groups.instances)}
    cut = {key_of(device) for device in partitions.existing}
    rows = []
    for (name, kind), devices in members.items():
        gone = 0
        if kind == "dra-gpu":
            # A claim on a device that is no longer published holds its slot until the claim is freed.
            gone = sum(1 for key in held if key not in known and key[0] == name and "-mig-" not in key[2])
        # One class hands out whole GPUs and parts alike: where there are parts, who asks it is not sure of a GPU.
        modes = {partition_mode(device) if key_of(device) in cut else "" for device in devices}
        some_cut = any(key_of(device) in cut for device in devices)
        profile = modes.pop() if some_cut and len(modes) == 1 else ""
        in_use = None if groups.held is None else busy[name, kind]
        row = _row(groups, name, "dra-partition" if some_cut else kind, devices, in_use, profile)
        if gone and row.requested is not None:
            row = msgspec.structs.replace(row, requested=row.requested + gone)
        rows.append(row)
    return rows


def _cut_on_demand(groups: DeviceGroups) -> list[ResourceSlots]:
    """GPUs that are published only as ways to cut them: a slot each, taken once anything is cut of it."""
    shown = {groups.cards_of[id(device)] for device in (*groups.whole, *groups.partitions.existing, *groups.instances)}
    by_class: dict[str, dict[str, list[DraDevice]]] = {}
    for device in (*groups.placements, *groups.partitions.on_demand):
        identity = groups.cards_of[id(device)]
        if identity not in shown:
            name = labels.DRA_NVIDIA_MIG_CLASS if device.driver == labels.DRA_NVIDIA_GPU else device.driver
            by_class.setdefault(name, {}).setdefault(identity, []).append(device)
    rows = []
    for name, cards in by_class.items():
        offered = [identity for identity, devices in cards.items() if any(not is_kept_back(device) for device in devices)]
        busy = None if groups.used is None else sum(1 for identity in cards if identity in groups.used)
        untouched = [next(iter(devices)) for identity, devices in cards.items() if identity not in (groups.used or ())]
        rows.append(
            ResourceSlots(
                name=name,
                kind="dra-cut",
                replicas=1,
                capacity=len(cards),
                allocatable=len(offered),
                requested=busy,
                free=_free(groups, untouched),
            )
        )
    return rows


def _row(
    groups: DeviceGroups, name: str, kind: str, devices: Sequence[DraDevice], busy: int | None, profile: str
) -> ResourceSlots:
    if any(device.shareable for device in devices):
        return _shared_row(groups, name, devices, profile)
    return ResourceSlots(
        name=name,
        kind=kind,
        profile=profile,
        replicas=1,
        capacity=len(devices),
        allocatable=sum(1 for device in devices if not is_kept_back(device)),
        requested=busy,
        free=_free(groups, devices),
    )


def _free(groups: DeviceGroups, devices: Sequence[DraDevice]) -> int | None:
    """Returns how many of the devices the allocator still gives out, one claim after the other; None where that is unknown.

    A GPU of which nothing is held counts where it can be had in any of its ways.
    """
    room = groups.room
    if room is None or not groups.taints_known:
        return None
    ways: dict[str, list[Key]] = {}
    for part in (*groups.placements, *groups.partitions.on_demand):
        ways.setdefault(groups.cards_of[id(part)], []).append(key_of(part))
    parts = {key_of(device) for device in (*groups.partitions.existing, *groups.instances)}
    choices = []
    for device in devices:
        identity = groups.cards_of[id(device)]
        alone = key_of(device) in parts or identity in (groups.used or ())
        choices.append([key_of(device), *([] if alone else ways.get(identity, ()))])
    return room.count_groups(choices)


def shares_of(device: DraDevice) -> int | None:
    """Returns the shares of the default size that a device gives out, 1 for one that is not shared; None: any number."""
    if not device.shareable:
        return 1
    return plausible(shares_left(device, {}))


def _shared_row(groups: DeviceGroups, name: str, devices: Sequence[DraDevice], profile: str) -> ResourceSlots:
    """Slots are shares of the default size; a larger share takes as many of them as it leaves no room for."""
    numbers = [shares_of(device) for device in devices]
    per_device = set(numbers)
    row = ResourceSlots(
        name=name,
        kind="dra-share",
        profile=UNBOUNDED if None in per_device else profile,
        replicas=numbers[0] if len(per_device) == 1 else None,
    )
    offered = [number for device, number in zip(devices, numbers, strict=True) if not is_kept_back(device)]
    row = msgspec.structs.replace(row, capacity=add(numbers), allocatable=add(offered))
    if groups.allocated is None:
        return row
    keys = {key_of(device) for device in devices}
    free = groups.room.count(lambda device: key_of(device) in keys) if groups.room is not None and groups.taints_known else None
    if row.capacity is None:  # without an end: what is held is a number all the same
        return msgspec.structs.replace(row, requested=sum(_held(device, groups.allocated) for device in devices), free=free)
    requested = row.capacity - sum(_left(device, groups.allocated) for device in devices)
    return msgspec.structs.replace(row, requested=requested, free=free)


def _held(device: DraDevice, allocated: Allocated) -> int:
    key = key_of(device)
    return allocated.share_counts.get(key, 0) + (key in allocated.whole)


def _left(device: DraDevice, allocated: Allocated) -> int:
    key = key_of(device)
    if not device.shareable:
        return 0 if allocated.holds(key) else 1
    return 0 if key in allocated.whole else shares_left(device, allocated.shares.get(key, {})) or 0


def _class_of(device: DraDevice) -> tuple[str, str]:
    """Returns the DeviceClass that whole devices are asked by, and the kind of slot; other vendors' by their driver's name."""
    if device.driver == labels.DRA_NVIDIA_GPU and device.type == "vfio":
        return labels.DRA_NVIDIA_VFIO_CLASS, "dra-vfio"
    return device.driver, "dra-gpu"
