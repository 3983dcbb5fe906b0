"""What claims hold already: whole devices, and shares of devices."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from fleet.domain.quantities import parse_quantity
from fleet.domain.snapshot.dra import DraAllocation

DeviceKey = tuple[str, str, str]
"""Driver, pool and name: what a claim calls a device by."""


class Allocated:
    """Devices and shares in use. Admin access uses nothing; it only watches."""

    def __init__(self, allocations: Iterable[DraAllocation] = ()) -> None:
        self.whole: set[DeviceKey] = set()
        self.shares: dict[DeviceKey, dict[str, Fraction]] = {}
        self.share_counts: dict[DeviceKey, int] = {}
        for allocation in allocations:
            self.add(allocation)

    def add(self, allocation: DraAllocation) -> None:
        if allocation.admin_access:
            return
        key = (allocation.driver, allocation.pool, allocation.device)
        if not allocation.share_id and not allocation.consumed:
            self.whole.add(key)
            return
        self.share_counts[key] = self.share_counts.get(key, 0) + 1
        taken = self.shares.setdefault(key, {})
        for name, text in allocation.consumed.items():
            taken[name] = taken.get(name, Fraction(0)) + (parse_quantity(text) or Fraction(0))

    def copy(self) -> Allocated:
        copied = Allocated()
        copied.whole = set(self.whole)
        copied.shares = {key: dict(taken) for key, taken in self.shares.items()}
        copied.share_counts = dict(self.share_counts)
        return copied

    def holds(self, key: DeviceKey) -> bool:
        """Returns whether anything of the device is in use."""
        return key in self.whole or key in self.shares
