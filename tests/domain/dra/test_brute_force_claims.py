"""The allocator against every choice of devices where claims are rich: lists of alternatives, several claims and pools, distinct.

Pools of two drivers with counters of their own, admin access across claims, shares with steps. All choices are tried.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations, product

import msgspec
import pytest

from fleet.domain.dra.allocated import Allocated
from fleet.domain.dra.allocator import allocate
from fleet.domain.dra.choices import AllocationError
from fleet.domain.dra.resource_pools import NodePool
from fleet.domain.snapshot import DraAllocation, DraDevice, Taint
from fleet.domain.snapshot.dra import (
    CapacityPolicy,
    CounterSet,
    CounterUse,
    DeviceClass,
    DeviceConstraint,
    DeviceRequest,
    DeviceToleration,
    DraAttribute,
    DraCapacity,
    DraClaim,
)

CLASSES = {
    kind: DeviceClass(name=kind, selectors=(f"device.attributes[device.driver].kind == '{kind}'",)) for kind in ("big", "small")
}
STEP = 2


class Card(msgspec.Struct, frozen=True, kw_only=True):
    driver: str
    name: str
    kind: str
    root: int | None
    slices: int = 0
    """Of its pool's one counter."""
    total: int = 0
    """Memory to share; 0 where the card is not shared."""
    tainted: bool = False
    held: bool = False
    drawn: int = 0


class Want(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    count: int = 1
    amount: int = 0
    tolerates: bool = False
    admin: bool = False


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A claim: each request is a list of alternatives, of which one is satisfied."""

    requests: tuple[tuple[Want, ...], ...]
    match: bool = False
    distinct: bool = False


Pools = dict[str, int]
"""Driver to the counter of its pool."""
Choice = list[tuple[int, tuple[Want, tuple[Card, ...]]]]
"""Claim, the alternative chosen, and its devices."""


def make(chance: random.Random) -> tuple[list[Card], Pools, list[Ask]]:
    pools = {driver: chance.randint(1, 4) for driver in ("a.example.com", "b.example.com")}
    cards = []
    for number in range(chance.randint(2, 5)):
        total = chance.choice((0, 0, 3, 4, 6))
        cards.append(
            Card(
                driver=chance.choice(sorted(pools)),
                name=f"d{number}",
                kind=chance.choice(("big", "small")),
                root=chance.choice((0, 1, 1, None)),
                slices=chance.choice((0, 0, 1, 2)),
                total=total,
                tainted=chance.random() < 0.15,
                held=not total and chance.random() < 0.15,
                drawn=STEP if total and chance.random() < 0.3 else 0,
            )
        )
    return cards, pools, [_ask(chance) for _ in range(chance.choice((1, 1, 2)))]


def _ask(chance: random.Random) -> Ask:
    requests = []
    for _ in range(chance.choice((1, 1, 2))):
        listed = chance.random() < 0.4
        requests.append(tuple(_want(chance, admin=not listed) for _ in range(2 if listed else 1)))
    return Ask(requests=tuple(requests), match=chance.random() < 0.25, distinct=chance.random() < 0.2)


def _want(chance: random.Random, *, admin: bool) -> Want:
    return Want(
        kind=chance.choice(("big", "small")),
        count=chance.choice((1, 1, 2)),
        amount=chance.choice((0, 0, 1, 3)),
        tolerates=chance.random() < 0.2,
        admin=admin and chance.random() < 0.15,
    )


# --- every choice ---


def solvable(cards: Sequence[Card], pools: Pools, asks: Sequence[Ask]) -> bool:
    slots = [request for ask in asks for request in ask.requests]
    owner = [index for index, ask in enumerate(asks) for _ in ask.requests]
    options = [list(_options(cards, request)) for request in slots]
    return any(_valid(cards, pools, asks, list(zip(owner, choice, strict=True))) for choice in product(*options))


def _options(cards: Sequence[Card], request: Sequence[Want]) -> Iterator[tuple[Want, tuple[Card, ...]]]:
    for want in request:
        able = [card for card in cards if card.kind == want.kind and (not want.amount or card.total)]
        for chosen in combinations(able, want.count):
            yield want, chosen


def _draw(want: Want) -> int:
    """Memory of a share: the step by default, else the amount rounded up to the next step."""
    return -(-max(want.amount, STEP) // STEP) * STEP


def _valid(
    cards: Sequence[Card], pools: Pools, asks: Sequence[Ask], choice: list[tuple[int, tuple[Want, tuple[Card, ...]]]]
) -> bool:
    taken = [(claim, want, card) for claim, (want, chosen) in choice for card in chosen]
    for position, (claim, want, card) in enumerate(taken):
        if card.tainted and not want.tolerates:
            return False
        if card.total:
            continue
        before = [other for other in taken[:position] if other[2] is card]
        if want.admin and any(other == claim for other, _, _ in before):
            return False
        if not want.admin and (card.held or before):
            return False
    if any(card.total and _use(card, taken) > card.total for card in cards):
        return False
    for driver, limit in pools.items():
        of_pool = [card for card in cards if card.driver == driver]
        new = {card.name: 1 if card.total else count for card, count in _counted(of_pool, taken).items()}
        used = sum(card.slices * ((card.held or card.drawn > 0) + new.get(card.name, 0)) for card in of_pool)
        if any(new.get(card.name) and card.slices for card in of_pool) and used > limit:
            return False
    return all(_related(ask, [card for claim, _, card in taken if claim == index]) for index, ask in enumerate(asks))


def _use(card: Card, taken: Sequence[tuple[int, Want, Card]]) -> int:
    return card.drawn + sum(_draw(want) for _, want, other in taken if other is card)


def _counted(cards: Sequence[Card], taken: Sequence[tuple[int, Want, Card]]) -> dict[Card, int]:
    """Cards of which this choice takes counters: a share of a card that is drawn from already takes none."""
    numbers = Counter(card.name for _, _, card in taken)
    return {card: numbers[card.name] for card in cards if numbers[card.name] and not (card.total and card.drawn)}


def _related(ask: Ask, chosen: Sequence[Card]) -> bool:
    roots = [card.root for card in chosen]
    if (ask.match or ask.distinct) and None in roots:
        return False
    return not (ask.match and len(set(roots)) > 1) and not (ask.distinct and len(set(roots)) < len(roots))


# --- the allocator ---


def can_allocate(cards: Sequence[Card], pools: Pools, asks: Sequence[Ask]) -> bool | None:
    by_driver = {driver: tuple(_device(card) for card in cards if card.driver == driver) for driver in pools}
    node_pools = [
        NodePool(
            driver=driver,
            name=f"pool-{driver}",
            devices=devices,
            everything=devices,
            counter_sets=(CounterSet(driver=driver, pool=f"pool-{driver}", name="set", counters={"slices": str(pools[driver])}),),
        )
        for driver, devices in sorted(by_driver.items())
        if devices
    ]
    held = [_allocation(card) for card in cards if card.held]
    held += [_allocation(card, share_id="s", consumed={"memory": str(card.drawn)}) for card in cards if card.drawn]
    try:
        claims = [_claim(index, ask) for index, ask in enumerate(asks)]
        return allocate(claims, node_pools, CLASSES, Allocated(held)).chosen is not None
    except AllocationError:
        return None


def _device(card: Card) -> DraDevice:
    attributes = {"kind": DraAttribute("string", card.kind)}
    if card.root is not None:
        attributes["example.com/root"] = DraAttribute("int", card.root)
    policy = CapacityPolicy(default=str(STEP), minimum=str(STEP), step=str(STEP), has_range=True)
    return DraDevice(
        driver=card.driver,
        pool=f"pool-{card.driver}",
        name=card.name,
        node_name="node",
        attributes=attributes,
        capacity={"memory": DraCapacity(str(card.total), policy)} if card.total else {},
        shareable=bool(card.total),
        consumes=(CounterUse("set", {"slices": str(card.slices)}),) if card.slices else (),
        taints=(Taint("t", "", "NoExecute"),) if card.tainted else (),
    )


def _allocation(card: Card, **share: object) -> DraAllocation:
    return DraAllocation(
        namespace="n", claim=f"of-{card.name}", driver=card.driver, pool=f"pool-{card.driver}", device=card.name, **share
    )  # type: ignore[arg-type]


def _claim(index: int, ask: Ask) -> DraClaim:
    requests = []
    for number, alternatives in enumerate(ask.requests):
        made = tuple(_request(f"r{number}" if len(alternatives) == 1 else f"s{at}", want) for at, want in enumerate(alternatives))
        requests.append(made[0] if len(made) == 1 else DeviceRequest(name=f"r{number}", first_available=made))
    constraints = [DeviceConstraint(match_attribute="example.com/root")] if ask.match else []
    constraints += [DeviceConstraint(distinct_attribute="example.com/root")] if ask.distinct else []
    return DraClaim(namespace="n", name=f"c{index}", requests=tuple(requests), constraints=tuple(constraints))


def _request(name: str, want: Want) -> DeviceRequest:
    return DeviceRequest(
        name=name,
        device_class=want.kind,
        count=want.count,
        admin_access=want.admin,
        tolerations=(DeviceToleration(operator="Exists"),) if want.tolerates else (),
        capacity={"memory": str(want.amount)} if want.amount else {},
    )


def compare(seed: int) -> bool | None:
    cards, pools, asks = make(random.Random(seed))
    answer = can_allocate(cards, pools, asks)
    if answer is not None:
        assert answer is solvable(cards, pools, asks), f"seed {seed}: {cards} {pools} {asks}"
    return answer


@pytest.mark.slow
def test_two_hundred_worlds() -> None:
    assert {True, False} <= {compare(seed) for seed in range(200)}


@pytest.mark.slow
def test_ten_thousand_worlds() -> None:
    answers = [compare(seed) for seed in range(10_000)]
    assert answers.count(True) > 1_000
    assert answers.count(False) > 1_000
