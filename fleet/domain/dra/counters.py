"""Shared counters of a pool: what devices take of them, and what is left (partitionable devices, KEP-4815)."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache

from fleet.domain.quantities import parse_quantity
from fleet.domain.snapshot.dra import CounterSet, CounterUse

Counter = tuple[str, str]
"""Counter set and counter."""


class Counters:
    """The counters of one pool, with what is left of each. May go below zero where more is allocated than there is."""

    def __init__(self, sets: Iterable[CounterSet]) -> None:
        self.left: dict[Counter, Fraction | int] = {
            (counter_set.name, name): _amount(text) for counter_set in sets for name, text in counter_set.counters.items()
        }
        self._overdrawn = {counter for counter, amount in self.left.items() if amount < 0}

    def take(self, uses: Iterable[CounterUse], sign: int = 1) -> None:
        """Subtracts what a device uses; with sign -1 gives it back."""
        for use in uses:
            for name, text in use.counters.items():
                counter = (use.counter_set, name)
                if counter in self.left:
                    left = self.left[counter] = self.left[counter] - sign * _amount(text)
                    if left < 0:
                        self._overdrawn.add(counter)
                    else:
                        self._overdrawn.discard(counter)

    def try_take(self, uses: tuple[CounterUse, ...]) -> bool:
        """Takes what a device uses if, with it, no counter of the pool is below zero.

        The scheduler looks at every counter of the pool, so an overdrawn one keeps back devices of other GPUs too.
        """
        self.take(uses)
        if not self._overdrawn:
            return True
        self.take(uses, -1)
        return False


@lru_cache(maxsize=4096)
def _amount(text: str) -> Fraction | int:
    """Returns the quantity as an integer where it is one: counters are added up thousands of times."""
    amount = parse_quantity(text) or Fraction(0)
    return amount.numerator if amount.denominator == 1 else amount


def problem_of(sets: Iterable[CounterSet], uses: Iterable[CounterUse]) -> str:
    """Returns why a pool is invalid by its counters; empty text for a valid one."""
    known: dict[str, frozenset[str]] = {}
    for counter_set in sets:
        if counter_set.name in known:
            return f"duplicate counter set name {counter_set.name}"
        known[counter_set.name] = frozenset(counter_set.counters)
    for use in uses:
        names = known.get(use.counter_set)
        if names is None:
            return f"counter set {use.counter_set} not found"
        for name in use.counters:
            if name not in names:
                return f"counter {name} not found in counter set {use.counter_set}"
    return ""
