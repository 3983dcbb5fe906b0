"""The allocator finds devices exactly where some choice of devices is valid: thousands of small pools, all choices tried."""

from __future__ import annotations

import random

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
from tests.domain.dra.brute_force import Unit, Wish, World, solvable

DRIVER, POOL = "gpu.example.com", "node"
CLASSES = {
    kind: DeviceClass(name=kind, selectors=(f"device.attributes['{DRIVER}'].kind == '{kind}'",)) for kind in ("big", "small")
}


def make_world(chance: random.Random) -> World:
    counters = {f"c{number}": chance.randint(1, 4) for number in range(chance.randint(0, 2))}
    units = []
    for number in range(chance.randint(1, 5)):
        shareable = chance.random() < 0.3
        units.append(
            Unit(
                name=f"d{number}",
                kind=chance.choice(("big", "small")),
                numa=chance.choice((0, 1, None)),
                counters={name: chance.randint(0, 2) for name in counters if chance.random() < 0.6},
                total=chance.randint(1, 4) if shareable else 0,
                default=1,
                tainted=chance.random() < 0.15,
            )
        )
    held = frozenset(unit.name for unit in units if not unit.total and chance.random() < 0.2)
    drawn = {unit.name: chance.randint(1, unit.total) for unit in units if unit.total and chance.random() < 0.4}
    return World(units=tuple(units), counters=counters, held=held, drawn=drawn)


def make_wishes(chance: random.Random) -> list[Wish]:
    return [
        Wish(
            kind=chance.choice(("big", "small")),
            count=chance.choice((0, 1, 1, 1, 2)),
            amount=chance.choice((0, 0, 0, 1, 2)),
            tolerates=chance.random() < 0.2,
            admin=chance.random() < 0.1,
        )
        for _ in range(chance.randint(1, 3))
    ]


def can_allocate(world: World, wishes: list[Wish], *, same_numa: bool) -> bool | None:
    """Whether the allocator finds devices; None where it fails as a whole, as the scheduler does."""
    devices = tuple(_device(unit) for unit in world.units)
    sets = (CounterSet(driver=DRIVER, pool=POOL, name="gpu", counters={name: str(n) for name, n in world.counters.items()}),)
    pool = NodePool(driver=DRIVER, name=POOL, devices=devices, everything=devices, counter_sets=sets)
    allocations = [_held(name) for name in world.held]
    allocations += [_held(name, share_id="s", consumed={"memory": str(amount)}) for name, amount in world.drawn.items()]
    tolerations = (DeviceToleration(operator="Exists"),)
    claim = DraClaim(
        namespace="n",
        name="c",
        requests=tuple(
            DeviceRequest(
                name=f"r{number}",
                device_class=wish.kind,
                mode="ExactCount" if wish.count else "All",
                count=wish.count or 1,
                admin_access=wish.admin,
                tolerations=tolerations if wish.tolerates else (),
                capacity={"memory": str(wish.amount)} if wish.amount else {},
            )
            for number, wish in enumerate(wishes)
        ),
        constraints=(DeviceConstraint(match_attribute=f"{DRIVER}/numa"),) if same_numa else (),
    )
    try:
        return allocate([claim], [pool], CLASSES, Allocated(allocations)).chosen is not None
    except AllocationError:
        return None


def _device(unit: Unit) -> DraDevice:
    attributes = {"kind": DraAttribute("string", unit.kind)}
    if unit.numa is not None:
        attributes["numa"] = DraAttribute("int", unit.numa)
    policy = CapacityPolicy(default=str(unit.default), minimum="1", step="1", has_range=True)
    return DraDevice(
        driver=DRIVER,
        pool=POOL,
        name=unit.name,
        node_name="node",
        attributes=attributes,
        capacity={"memory": DraCapacity(str(unit.total), policy)} if unit.total else {},
        shareable=bool(unit.total),
        consumes=(CounterUse("gpu", {name: str(n) for name, n in unit.counters.items()}),) if unit.counters else (),
        taints=(Taint("t", "", "NoSchedule"),) if unit.tainted else (),
    )


def _held(name: str, **share: object) -> DraAllocation:
    return DraAllocation(namespace="n", claim=f"of-{name}", driver=DRIVER, pool=POOL, device=name, **share)  # type: ignore[arg-type]


def compare(seed: int) -> bool | None:
    chance = random.Random(seed)
    world, wishes, same_numa = make_world(chance), make_wishes(chance), chance.random() < 0.3
    answer = can_allocate(world, wishes, same_numa=same_numa)
    if answer is not None:
        assert answer is solvable(world, wishes, same_numa=same_numa), f"seed {seed}: {world} {wishes}"
    return answer


def test_a_hundred_pools() -> None:
    answers = [compare(seed) for seed in range(100)]
    assert {True, False} <= set(answers)


@pytest.mark.slow
def test_ten_thousand_pools() -> None:
    answers = [compare(seed) for seed in range(10_000)]
    assert answers.count(True) > 1_000
    assert answers.count(False) > 1_000
