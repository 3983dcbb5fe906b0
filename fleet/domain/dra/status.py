"""State of each pool of a driver: devices in total, allocated, available, unavailable, and what can still be cut (KEP-5677)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from fleet.domain.dra.allocated import Allocated
from fleet.domain.dra.consumable import fits, share_of, shares_left
from fleet.domain.dra.counters import Counters
from fleet.domain.dra.resource_pools import NodePool, counters_left
from fleet.domain.dra.taints import is_blocked
from fleet.domain.quantities import parse_quantity, to_mib
from fleet.domain.snapshot.dra import DraCapacity, DraDevice

_MOST_SHARES = 1_000_000
"""More shares of one device than this are as good as unbounded."""


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """How many more devices of one profile the counters of a pool still allow, if nothing else is taken."""

    profile: str
    more: int


class PoolStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One pool, as far as one node may use it. None is unknown: claims or DeviceTaintRules were not read."""

    driver: str
    pool: str
    total: int
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

    can_be_cut: str = ""
    """What can still be cut, as a phrase; empty where nothing is cut on demand or that is unknown."""


def pool_status(pool: NodePool, allocated: Allocated | None, *, rules_known: bool = True) -> PoolStatus:
    """Returns the state of a pool. Without `allocated` or the taint rules, what depends on them is None."""
    shareable = [device for device in pool.devices if device.shareable]
    whole = {_key(device): shares_left(device, {}) for device in shareable}
    limited = [number for number in whole.values() if number is not None]
    status = PoolStatus(
        driver=pool.driver,
        pool=pool.name,
        total=len(pool.devices),
        shares=sum(limited) if limited and len(limited) == len(whole) else None,
        unbounded=len(limited) < len(whole),
        memory_mib=_memory(shareable),
        invalid=pool.invalid,
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
    usable = [] if pool.invalid else [device for device in pool.devices if not is_blocked(device)]
    counters = counters_left(pool, allocated)
    available = {device.name for device in usable if is_available(device, counters, allocated)}
    taken = [device for device in held if device.name not in available]
    free = [shares_free(device, allocated) for device in shareable if device in usable]
    possible = cuts(pool, allocated)
    return msgspec.structs.replace(
        status,
        available=len(available),
        unavailable=len(pool.devices) - len(available) - len(taken),
        shares_free=None if not shareable or None in free else sum(number or 0 for number in free),
        memory_free_mib=_memory_free([device for device in shareable if device in usable], allocated),
        cuts=possible,
        can_be_cut=cut_phrase(possible),
    )


def is_available(device: DraDevice, counters: Counters, allocated: Allocated) -> bool:
    """Returns whether a claim for this device alone would get it, its taints aside. Leaves the counters as they are."""
    key = _key(device)
    if key in allocated.whole:
        return False
    share = share_of(device, {})
    if share is None or not fits(device, share, allocated.shares.get(key, {})):
        return False
    if not device.consumes or (device.shareable and key in allocated.shares):
        return True
    if not counters.try_take(device.consumes):
        return False
    counters.take(device.consumes, -1)
    return True


def shares_free(device: DraDevice, allocated: Allocated) -> int | None:
    """Returns the shares of the default size that a device has left; None where nothing limits them."""
    if _key(device) in allocated.whole:
        return 0
    left = shares_left(device, allocated.shares.get(_key(device), {}))
    return None if left is None or left > _MOST_SHARES else left


def cuts(pool: NodePool, allocated: Allocated) -> tuple[Cut, ...]:
    """Returns for each profile how many more devices of it can be had, each profile by itself, smallest first.

    Counted as the scheduler goes: devices in their order, each if the counters still allow it.
    """
    by_profile: dict[str, list[DraDevice]] = {}
    for device in pool.devices:
        if device.consumes and device.profile:
            by_profile.setdefault(device.profile, []).append(device)
    possible = [Cut(profile=profile, more=count_cuts(pool, devices, allocated)) for profile, devices in by_profile.items()]
    return tuple(sorted(possible, key=lambda cut: (-cut.more, cut.profile)))


def cut_phrase(possible: Sequence[Cut]) -> str:
    """Returns what can still be cut: "5 more 1g.10gb, or 1 more 3g.40gb"."""
    if not possible:
        return ""
    return ", or ".join(f"{cut.more} more {cut.profile}" for cut in possible if cut.more) or "nothing more"


def count_cuts(pool: NodePool, devices: Sequence[DraDevice], allocated: Allocated) -> int:
    """Returns how many of these devices of a pool can be had together, taken in their order."""
    if pool.invalid:
        return 0
    counters, number = counters_left(pool, allocated), 0
    for device in devices:
        if not allocated.holds(_key(device)) and not is_blocked(device) and counters.try_take(device.consumes):
            number += 1
    return number


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
