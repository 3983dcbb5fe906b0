"""State of each pool of a driver: devices in total, allocated, available, unavailable, and what can still be cut (KEP-5677)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from fleet.domain.dra.allocated import Allocated
from fleet.domain.dra.consumable import shares_left
from fleet.domain.dra.resource_pools import NodePool
from fleet.domain.dra.room import MOST_SHARES, Room
from fleet.domain.quantities import parse_quantity, to_mib
from fleet.domain.snapshot.dra import DraCapacity, DraDevice


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """How many more devices of one profile the counters of a pool still allow, if nothing else is taken."""

    profile: str
    """MIG profile, AMD's partition mode, or of another vendor what such a part takes of the counters ("2 tiles")."""
    more: int
    total: int = 0
    """Such parts that are published."""
    memory_mib: int | None = None
    """Memory of one, in MiB."""


class PoolStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One pool, as far as one node may use it. None is unknown: claims or DeviceTaintRules were not read."""

    driver: str
    pool: str
    total: int | None
    """Devices published, every way to cut a GPU included."""
    allocated: int | None = None
    """Devices that a claim holds, whole or a share of."""
    available: int | None = None
    """Devices that a claim could get now."""
    unavailable: int | None = None
    """Devices that no claim can get now: tainted, or what they need of a GPU is taken."""
    shares: int | None = None
    """Shares of the default size over all devices; None where nothing is shared, or nothing limits shares."""
    shares_held: int | None = None
    """Shares that claims hold, of any size."""
    shares_free: int | None = None
    unbounded: bool = False
    """Some device gives out any number of shares."""
    memory_mib: int | None = None
    """Memory of the shareable devices, in MiB."""
    memory_free_mib: int | None = None
    cuts: tuple[Cut, ...] = ()
    invalid: str = ""
    """Why the scheduler takes nothing from the pool; empty for a valid one."""

    local: bool = True
    """Whether each of its devices is for one node only; else several nodes show the same devices."""
    can_be_cut: str = ""
    """What can still be cut, as a phrase; empty where nothing is cut on demand or that is unknown."""


def pool_status(
    pool: NodePool,
    allocated: Allocated | None,
    *,
    rules_known: bool = True,
    part_of: Callable[[DraDevice], str] = lambda device: device.profile,
) -> PoolStatus:
    """Returns the state of a pool. Without `allocated` or the taint rules, what depends on them is None.

    `part_of` names the kind of part of a GPU that a device with counters is; empty for one that is no part.
    """
    shareable = [device for device in pool.devices if device.shareable]
    whole = {_key(device): shares_left(device, {}) for device in shareable}
    limited = [number for number in whole.values() if number is not None and number <= MOST_SHARES]
    status = PoolStatus(
        driver=pool.driver,
        pool=pool.name,
        total=len(pool.devices),
        shares=sum(limited) if limited and len(limited) == len(whole) else None,
        unbounded=len(limited) < len(whole),
        memory_mib=_memory(shareable),
        invalid=pool.invalid,
        local=all(device.node_name for device in pool.everything),
    )
    if allocated is None:
        return status
    held = [device for device in pool.devices if allocated.holds(_key(device))]
    status = msgspec.structs.replace(
        status,
        allocated=len(held),
        shares_held=sum(allocated.share_counts.get(_key(device), 0) for device in shareable) if shareable else None,
    )
    if not rules_known:
        return status
    room = Room((pool,), allocated)
    available = room.available()
    taken = [device for device in held if _key(device) not in available]
    possible = _cuts(pool, room, part_of)
    return msgspec.structs.replace(
        status,
        available=sum(1 for device in pool.devices if _key(device) in available),
        unavailable=sum(1 for device in pool.devices if _key(device) not in available) - len(taken),
        shares_free=room.count(lambda device: device.shareable) if shareable else None,
        memory_free_mib=_memory_free([device for device in shareable if _key(device) in available], allocated),
        cuts=possible,
        can_be_cut=cut_phrase(possible),
    )


def _cuts(pool: NodePool, room: Room, part_of: Callable[[DraDevice], str]) -> tuple[Cut, ...]:
    """Returns for each kind of part how many more of it can be had, each kind by itself, the most numerous first."""
    by_kind: dict[str, list[DraDevice]] = {}
    for device in pool.devices:
        if device.consumes and (kind := part_of(device)):
            by_kind.setdefault(kind, []).append(device)
    possible = []
    for kind, devices in by_kind.items():
        members = {id(device) for device in devices}
        amounts = {to_mib(device.memory_bytes) for device in devices}
        possible.append(
            Cut(
                profile=kind,
                more=room.count(lambda device, members=members: id(device) in members) or 0,  # type: ignore[misc]
                total=len(devices),
                memory_mib=amounts.pop() if len(amounts) == 1 else None,
            )
        )
    return tuple(sorted(possible, key=lambda cut: (-cut.more, cut.profile)))


def cut_phrase(possible: Sequence[Cut]) -> str:
    """Returns what can still be cut: "5 more 1g.10gb, or 1 more 3g.40gb"."""
    if not possible:
        return ""
    return ", or ".join(f"{cut.more} more {cut.profile}" for cut in possible if cut.more) or "nothing more"


def _memory(devices: Iterable[DraDevice]) -> int | None:
    amounts = [parse_quantity(capacity.value) for device in devices if (capacity := _memory_of(device))]
    return to_mib(sum(amount for amount in amounts if amount is not None)) if amounts and None not in amounts else None


def _memory_free(devices: Sequence[DraDevice], allocated: Allocated) -> int | None:
    free = 0
    for device in devices:
        name = "memory" if "memory" in device.capacity else f"{device.driver}/memory"
        if name not in device.capacity:
            return None
        total = parse_quantity(device.capacity[name].value)
        if total is None:
            return None
        taken = total if _key(device) in allocated.whole else allocated.shares.get(_key(device), {}).get(name, 0)
        free += to_mib(max(total - taken, 0 * total)) or 0
    return free if devices else None


def _memory_of(device: DraDevice) -> DraCapacity | None:
    return device.capacity.get("memory") or device.capacity.get(f"{device.driver}/memory")


def _key(device: DraDevice) -> tuple[str, str, str]:
    return device.driver, device.pool, device.name
