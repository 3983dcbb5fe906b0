"""ResourceSlices and claims of one node (Dynamic Resource Allocation)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from fleet.domain import labels
from fleet.domain.catalog.gpus import find
from fleet.domain.devices.detection import is_gpu_device, node_of
from fleet.domain.devices.gpus import Gpu, MigDevice
from fleet.domain.devices.slots import ResourceSlots
from fleet.domain.devices.sources import dra_partitions
from fleet.domain.devices.sources.dra_claims import Key, Sharers, held_by_claims, key_of, sharers
from fleet.domain.devices.sources.dra_slots import DeviceGroups, is_kept_back, profile_of, shares_of, slots_of
from fleet.domain.devices.sources.gfd import label_form, plausible
from fleet.domain.dra.allocated import Allocated
from fleet.domain.dra.resource_pools import NodePool
from fleet.domain.dra.room import Room
from fleet.domain.dra.status import PoolStatus, pool_status
from fleet.domain.quantities import to_mib
from fleet.domain.snapshot import DraAllocation, DraDevice
from fleet.domain.snapshot.dra import CounterSet

_MINOR = re.compile(r"gpu-(\d{1,4})(?:-|$)", re.ASCII)
_PCI_LENGTH = 30


class DraView(msgspec.Struct, frozen=True, kw_only=True):
    """GPUs that one node advertises through DRA."""

    vendor: str
    devices: int
    """Published devices that are GPUs, instances or possible placements."""
    cards: tuple[Gpu, ...]
    cards_known: bool = True
    """False where parts of GPUs are published without the GPU they belong to: then `cards` counts nothing."""
    partitions: tuple[str, ...] = ()
    """The mode of each existing part of a GPU that is not a MIG instance; empty text where the driver publishes no mode."""
    shares: str = ""
    """How devices are shared, in words; empty where none is."""
    sharers: Sharers | None = None
    """Devices that more than one workload holds; None where claims are unread."""
    mig_devices: tuple[MigDevice, ...]
    """Instances that exist: created beforehand, or held now."""
    cut_on_demand: str = ""
    """The mode of GPUs that are cut when a claim asks for a part, whatever is cut now; empty where none is."""
    dynamic: bool
    """The driver offers placements and cuts instances on demand: placements are no instances."""
    instances_known: bool
    resources: tuple[ResourceSlots, ...]
    tainted: tuple[str, ...] = ()
    """Devices excluded from scheduling by a device taint."""
    set_aside_by: tuple[str, ...] = ()
    """DeviceTaintRules that exclude them; empty where one is excluded by its driver."""
    products: tuple[str, ...] = ()
    memory_mib: int | None = None
    architecture: str = ""
    driver_version: str = ""
    cuda_version: str = ""


def vendors(node_name: str, devices: Sequence[DraDevice]) -> list[str]:
    """Vendors of the GPUs the node publishes, in the order of its devices; "other" is an unknown driver."""
    own = [device for device in devices if node_of(device) == node_name and is_gpu_device(device)]
    named = sorted(own, key=lambda device: not device.product)  # a device with a product says most of its vendor
    return list(dict.fromkeys(labels.vendor_of_driver(device.driver) for device in named))


class ClaimedDevices(msgspec.Struct, frozen=True, kw_only=True):
    """What else decides about a node's devices: claims (None: not read), counters, and whether taint rules were read."""

    allocations: Sequence[DraAllocation] | None = None
    counter_sets: Sequence[CounterSet] = ()
    rules_known: bool = True
    set_aside: Mapping[Key, str] = {}
    """Devices that only DeviceTaintRules keep from the scheduler, and the rule."""
    pools: Sequence[NodePool] = ()
    """The pools with devices for the node, as the allocator sees them."""
    allocated: Allocated | None = None
    """What claims of the whole cluster hold: pools of several nodes share counters. None where claims were not read."""


def view(node_name: str, devices: Sequence[DraDevice], claimed: ClaimedDevices, vendor: str = "") -> DraView | None:
    """Returns the node's GPUs of one vendor by DRA; None where it publishes none.

    Without claims what is requested is unknown. Devices of drivers that are not known may be any vendor's GPUs, and count. An
    empty `vendor` takes all.

    Physical GPUs are the distinct PCI addresses (else counter sets, else uuids) of devices that are no MIG instances, and the
    parents of those that are; a claim with admin access only watches and holds nothing; a GPU of which a part is held is not
    free any more.
    """
    own = [device for device in devices if node_of(device) == node_name and is_gpu_device(device)]
    own = [device for device in own if not vendor or labels.vendor_of_driver(device.driver) in (vendor, "other")]
    if not own:
        return None
    held = held_by_claims(own, claimed.allocations)
    groups = sort_devices(own, claimed, held)
    migs = [*groups.instances, *groups.placements]
    existing = [mig for mig in migs if mig.uuid or (held is not None and key_of(mig) in held)]
    cut = {groups.cards_of[id(mig)] for mig in existing}
    cards = _cards(groups, cut)
    first = next((device for device in own if device.product), own[0])
    return DraView(
        vendor=labels.vendor_of_driver(first.driver),
        devices=len(own),
        cards=cards,
        cards_known=groups.partitions.cards_known,
        partitions=groups.partitions.modes(),
        cut_on_demand="MIG on demand" if groups.placements else "Partitioned on demand" if groups.partitions.on_demand else "",
        sharers=sharers(
            own,
            claimed.allocations,
            divisible={key_of(device) for device in own if device.shareable}
            | {key_of(device) for device in groups.partitions.on_demand},
        ),
        shares=shares_mode(groups.whole, groups.instances),
        mig_devices=tuple(
            MigDevice(
                profile=profile_of(mig),
                uuid=mig.uuid,
                parent_uuid=mig.parent_uuid,
                gpu_index=_minor(mig),
                memory_mib=_mib(mig),
                source="resource_slice",
                held=None if held is None else key_of(mig) in held,
            )
            for mig in existing
        ),
        dynamic=bool(groups.placements),
        instances_known=not groups.placements or held is not None,
        resources=slots_of(groups),
        tainted=tuple(sorted(device.name for device in own if is_kept_back(device))),
        set_aside_by=_set_aside_by([device for device in own if is_kept_back(device)], claimed.set_aside),
        products=tuple(sorted({label_form(device.product) for device in own if device.product})),
        memory_mib=max((card.memory_mib for card in cards if card.memory_mib), default=None),
        architecture=next((device.architecture for device in own if device.architecture), ""),
        driver_version=next((device.driver_version for device in own if device.driver_version), ""),
        cuda_version=_short(next((device.cuda_version for device in own if device.cuda_version), "")),
    )


def sort_devices(own: Sequence[DraDevice], claimed: ClaimedDevices, held: set[Key] | None) -> DeviceGroups:
    """Returns a node's devices by what each is: a whole GPU, a part, an instance, or a way to cut one."""
    migs = [device for device in own if _is_mig(device)]
    others = [device for device in own if not _is_mig(device)]
    sets = dra_partitions.CardSets(own, claimed.counter_sets)
    cards_of = dra_partitions.cards_of(others, sets)
    parts = dra_partitions.find_partitions(others, cards_of, sets)
    cut = {id(device) for device in (*parts.existing, *parts.on_demand)}
    whole = [device for device in others if id(device) not in cut]
    by_minor = {_minor(device): cards_of[id(device)] for device in whole if _minor(device) is not None}
    by_uuid = {device.uuid: cards_of[id(device)] for device in whole}
    by_set = {key: cards_of[id(device)] for device in others if (key := sets.of.get(id(device)))}
    for mig in migs:
        key = sets.of.get(id(mig))
        identity = by_uuid.get(mig.parent_uuid, mig.parent_uuid) if mig.parent_uuid else by_minor.get(_minor(mig))
        if not identity and key is not None:
            identity = by_set.setdefault(key, "/".join(key))
        cards_of[id(mig)] = identity or f"{mig.driver}/{mig.pool}/gpu-{_minor(mig)}"
    return DeviceGroups(
        whole=whole,
        partitions=parts,
        instances=[mig for mig in migs if mig.uuid],
        placements=[mig for mig in migs if not mig.uuid],
        cards_of=cards_of,
        used=None if held is None else {cards_of[id(device)] for device in own if key_of(device) in held},
        held=held,
        allocated=claimed.allocated,
        room=None if claimed.allocated is None else Room(claimed.pools, claimed.allocated),
        taints_known=claimed.rules_known,
    )


def _set_aside_by(kept_back: Sequence[DraDevice], set_aside: Mapping[Key, str]) -> tuple[str, ...]:
    rules = [set_aside.get(key_of(device), "") for device in kept_back]
    return tuple(sorted(set(rules))) if all(rules) else ()


def pool_statuses(claimed: ClaimedDevices) -> tuple[PoolStatus, ...]:
    """Returns the state of each pool of GPUs that the node may use, those of several nodes included, by driver and name."""
    statuses = []
    for pool in sorted(claimed.pools, key=lambda pool: pool.id):
        gpus = tuple(device for device in pool.devices if is_gpu_device(device))
        if pool.incomplete or not gpus:
            continue
        sets = dra_partitions.CardSets(pool.everything, claimed.counter_sets or pool.counter_sets)
        statuses.append(
            pool_status(
                msgspec.structs.replace(pool, devices=gpus),
                claimed.allocated,
                rules_known=claimed.rules_known,
                part_of=sets.part_name,
            )
        )
    return tuple(statuses)


def shares_mode(whole: Sequence[DraDevice], instances: Sequence[DraDevice]) -> str:
    """Returns how the devices are shared, in words; empty where none is. It follows from what is published, not from claims."""
    shareable = [device for device in (*whole, *instances) if device.shareable]
    if not shareable:
        return ""
    numbers = {shares_of(device) for device in shareable}
    words = "Shared"
    if None in numbers:
        words = "Shared, unbounded"
    elif any(_draws_memory(device) for device in shareable):
        words = "Shared by memory"
    elif len(numbers) == 1:
        words = f"Shared ×{numbers.pop()}"
    everything = len(whole) + len(instances)
    return words if len(shareable) == everything else f"{words} on {len(shareable)} of {everything} devices"


def _draws_memory(device: DraDevice) -> bool:
    """Returns whether a request states how much memory it takes."""
    capacity = device.capacity.get("memory") or device.capacity.get(f"{device.driver}/memory")
    policy = capacity.policy if capacity else None
    return policy is not None and (policy.has_range or len(policy.values) > 1)


def _cards(groups: DeviceGroups, cut: set[str]) -> tuple[Gpu, ...]:
    cards: dict[str, Gpu] = {}
    for device in groups.whole:
        identity = groups.cards_of[id(device)]
        if identity not in cards:
            cards[identity] = _card(device, device.uuid, _mib(device), cut=identity in cut)
    parts = groups.partitions
    for part in (*parts.existing, *parts.on_demand, *groups.instances, *groups.placements):
        identity = groups.cards_of[id(part)]
        if identity not in cards:
            model = find(part.product)  # what a part has in memory is not its card's
            card = _card(part, part.parent_uuid, model.memory_mib if model else None, cut=_is_mig(part))
            cards[identity] = card if _is_mig(part) else msgspec.structs.replace(card, index=None)
    if groups.used is None:
        return tuple(cards.values())
    return tuple(msgspec.structs.replace(card, held=identity in groups.used) for identity, card in cards.items())


def _card(device: DraDevice, uuid: str, memory_mib: int | None, *, cut: bool) -> Gpu:
    return Gpu(
        index=_minor(device),
        uuid=uuid,
        product=label_form(device.product),
        memory_mib=memory_mib,
        pci_bus_id="" if _is_mig(device) else device.pci_bus_id[:_PCI_LENGTH],
        source="resource_slice",
        mig_enabled=cut,
    )


def _is_mig(device: DraDevice) -> bool:
    return device.type == "mig" or (not device.type and bool(device.parent_uuid or "-mig-" in device.name))


def _minor(device: DraDevice) -> int | None:
    match = _MINOR.match(device.name)
    return int(match[1]) if match else None


def _mib(device: DraDevice) -> int | None:
    return plausible(to_mib(device.memory_bytes)) or None  # AMD's driver writes 0 for what it cannot read


def _short(version: str) -> str:
    """Returns 12.8 of 12.8.0: the form the other sources use."""
    return ".".join(version.split(".")[:2])
