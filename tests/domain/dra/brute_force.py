"""An allocator that knows no order and no backtracking: every choice of devices, each judged as a whole by the proposals' rules.

Written apart from fleet.domain.dra.allocator, so that both would have to make the same mistake. For small pools only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations, product

import msgspec


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """A device with what matters here, in plain numbers."""

    name: str
    kind: str
    numa: int | None
    counters: dict[str, int] = {}
    total: int = 0
    """Memory to share; 0 where the device is not shared."""
    default: int = 1
    tainted: bool = False


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A request: `count` devices of a kind (0: all of them)."""

    kind: str
    count: int = 1
    amount: int = 0
    """Of the memory of a shareable device; 0: the default."""
    tolerates: bool = False
    admin: bool = False


class World(msgspec.Struct, frozen=True, kw_only=True):
    units: tuple[Unit, ...]
    counters: dict[str, int]
    held: frozenset[str]
    """Devices that are taken whole."""
    drawn: dict[str, int]
    """Memory drawn of shareable devices."""


def solvable(world: World, wishes: Sequence[Wish], *, same_numa: bool) -> bool:
    """Whether any choice of devices satisfies every wish."""
    return any(_valid(world, wishes, choice, same_numa=same_numa) for choice in _choices(world, wishes))


def _choices(world: World, wishes: Sequence[Wish]) -> Iterator[tuple[tuple[Unit, ...], ...]]:
    options: list[list[tuple[Unit, ...]]] = []
    for wish in wishes:
        alike = [unit for unit in world.units if unit.kind == wish.kind and _can_give(unit, wish)]
        # All means every device with room for it when the claim is looked at
        roomy = [unit for unit in alike if not unit.total or _draw(world, unit, wish) <= unit.total]
        options.append(list(combinations(alike, wish.count)) if wish.count else [tuple(roomy)] if roomy else [])
    yield from product(*options)


def _draw(world: World, unit: Unit, wish: Wish) -> int:
    return world.drawn.get(unit.name, 0) + (wish.amount or unit.default)


def _can_give(unit: Unit, wish: Wish) -> bool:
    """Whether the device has memory to give, where some is asked."""
    return not wish.amount or bool(unit.total)


def _valid(world: World, wishes: Sequence[Wish], choice: Sequence[Sequence[Unit]], *, same_numa: bool) -> bool:
    chosen = [(wish, unit) for wish, units in zip(wishes, choice, strict=True) for unit in units]
    if any(unit.tainted and not wish.tolerates for wish, unit in chosen):
        return False
    uses = Counter(unit.name for _, unit in chosen if not unit.total)
    if any(number > 1 for number in uses.values()):
        return False
    if any(unit.name in world.held and not wish.admin for wish, unit in chosen):
        return False
    drawn = Counter(world.drawn)
    for wish, unit in chosen:
        if unit.total:
            drawn[unit.name] += wish.amount or unit.default
    if any(unit.total and drawn[unit.name] > unit.total for _, unit in chosen):
        return False
    taken: Counter[str] = Counter()
    already = {unit.name for unit in world.units if unit.name in world.held or world.drawn.get(unit.name)}
    new = {unit.name for _, unit in chosen if not (unit.total and unit.name in already)}
    for unit in world.units:
        times = (unit.name in already) + (unit.name in new)
        for counter, amount in unit.counters.items():
            taken[counter] += amount * times
    if any(unit.counters and unit.name in new for _, unit in chosen) and any(
        taken[name] > total for name, total in world.counters.items()
    ):
        return False
    if same_numa and chosen:
        return None not in {unit.numa for _, unit in chosen} and len({unit.numa for _, unit in chosen}) == 1
    return True
