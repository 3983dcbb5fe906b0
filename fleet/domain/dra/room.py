"""How many more single devices, or shares of the default size, claims could have: taken one after the other by the allocator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from fleet.domain.dra.allocated import Allocated, DeviceKey
from fleet.domain.dra.choices import Candidate, Option
from fleet.domain.dra.consumable import shares_left
from fleet.domain.dra.resource_pools import NodePool
from fleet.domain.dra.taken import Taken
from fleet.domain.snapshot.dra import DeviceRequest, DraClaim, DraDevice

MOST_SHARES = 1_000_000
"""More shares of one device than this are as good as unbounded."""
_ONE = Option(request=DeviceRequest(name="", device_class=""), count=1)
_CLAIM = DraClaim(namespace="", name="", requests=(_ONE.request,))


class Room:
    """What claims for single devices, without tolerations, could still have of a node's pools."""

    def __init__(self, pools: Iterable[NodePool], allocated: Allocated) -> None:
        self._allocated = allocated
        self._candidates = [
            Candidate(pool, device, (device.driver, device.pool, device.name))
            for pool in pools
            if not pool.incomplete and not pool.invalid
            for device in pool.devices
        ]

    def available(self) -> set[DeviceKey]:
        """Returns the devices that a claim could have now, each by itself."""
        taken, keys = self._taken(), set()
        for candidate in self._candidates:
            if taken.take(0, _ONE, candidate):
                taken.give_back(0, _ONE, candidate)
                keys.add(candidate.key)
        return keys

    def count(self, is_wanted: Callable[[DraDevice], bool]) -> int | None:
        """Returns how many of these devices, or shares of them, can be had together; None where nothing limits them."""
        taken, number = self._taken(), 0
        for candidate in self._candidates:
            if is_wanted(candidate.device) and taken.take(0, _ONE, candidate):
                shares = self._shares(candidate)
                if shares is None:
                    return None
                number += shares
        return number

    def count_groups(self, groups: Iterable[Sequence[DeviceKey]]) -> int:
        """Returns of how many groups a device can be had, one of each, all together: the first that can be had is taken."""
        taken = self._taken()
        by_key = {candidate.key: candidate for candidate in self._candidates}
        return sum(
            any(taken.take(0, _ONE, candidate) for key in group if (candidate := by_key.get(key)) is not None) for group in groups
        )

    def _taken(self) -> Taken:
        return Taken([_CLAIM], self._allocated)

    def _shares(self, candidate: Candidate) -> int | None:
        if not candidate.device.shareable:
            return 1
        left = shares_left(candidate.device, self._allocated.shares.get(candidate.key, {}))
        return None if left is None or left > MOST_SHARES else left
