"""What a ClusterQueue has left, against Kueue's arithmetic written down a second time: by trying every amount."""

from __future__ import annotations

import random

import pytest

from fleet.domain.queues.cohorts import Quotas
from fleet.domain.snapshot.queues import ClusterQueue, Cohort, FlavorQuota, QueueObjects

KEY = ("h100", "nvidia.com/gpu")


def quota(nominal: int | None, reserved: int | None = 0, borrow: int | None = None, lend: int | None = None) -> FlavorQuota:
    return FlavorQuota(
        flavor=KEY[0], resource=KEY[1], nominal=nominal, reserved=reserved, borrowing_limit=borrow, lending_limit=lend
    )


def queue(name: str, quotas: FlavorQuota, cohort: str = "") -> ClusterQueue:
    return ClusterQueue(name=name, cohort=cohort, quotas=(quotas,))


def left(queues: list[ClusterQueue], cohorts: list[Cohort] | None = None, name: str = "a") -> int | None:
    objects = QueueObjects(cluster_queues=tuple(queues), cohorts=None if cohorts is None else tuple(cohorts))
    return Quotas(objects).available(next(entry for entry in queues if entry.name == name), KEY)


def test_alone_it_has_its_own_quota() -> None:
    assert left([queue("a", quota(8, 5))]) == 3
    assert left([queue("a", quota(8, 10))]) == -2, "more is reserved than the quota was lowered to"


def test_in_a_cohort_it_borrows_what_others_leave() -> None:
    assert left([queue("a", quota(8, 8), "c"), queue("b", quota(8, 2), "c")], []) == 6


def test_a_borrowing_limit_and_a_lending_limit_hold() -> None:
    assert left([queue("a", quota(8, 8, borrow=2), "c"), queue("b", quota(8), "c")], []) == 2
    assert left([queue("a", quota(8, 8), "c"), queue("b", quota(8, lend=3), "c")], []) == 3
    assert left([queue("a", quota(8, 8), "c"), queue("b", quota(8, 7, lend=3), "c")], []) == 1, "b uses 2 of what it lends"


def test_a_parent_cohort_lends_as_well() -> None:
    cohorts = [Cohort(name="c", parent="root"), Cohort(name="root", quotas=(quota(4),))]
    assert left([queue("a", quota(8, 8), "c")], cohorts) == 4
    limited = [Cohort(name="c", parent="root", quotas=(quota(0, borrow=1),)), cohorts[1]]
    assert left([queue("a", quota(8, 8), "c")], limited) == 1


def test_it_is_unknown_where_a_number_or_the_cohorts_are() -> None:
    assert left([queue("a", quota(None))]) is None
    assert left([queue("a", quota(8), "c")], None) is None
    assert left([queue("a", quota(8), "c"), queue("b", quota(None), "c")], []) is None
    assert left([queue("a", quota(8), "c")], [Cohort(name="c", parent="d"), Cohort(name="d", parent="c")]) is None


def test_a_queue_of_an_unknown_parent_is_in_a_tree_of_its_own() -> None:
    assert left([queue("a", quota(8, 1), "c")], [Cohort(name="c", parent="not an object")]) == 7


@pytest.mark.parametrize("seed", range(200))
def test_flat_cohorts_agree_with_lending_by_single_units(seed: int) -> None:
    """Takes one unit after the other: first the queue's kept part, then the pool of what all lend, within its limit."""
    rng = random.Random(seed)
    queues = []
    for name in "abc"[: rng.randint(1, 3)]:
        nominal = rng.randint(0, 6)
        lend = rng.choice([None, rng.randint(0, nominal)])
        borrow = rng.choice([None, rng.randint(0, 4)])
        queues.append(queue(name, quota(nominal, 0, borrow, lend), "c"))
    reserved = dict.fromkeys((entry.name for entry in queues), 0)

    def can_take(name: str) -> bool:
        own = next(entry for entry in queues if entry.name == name).quotas[0]
        nominal, lend = own.nominal or 0, own.lending_limit
        kept = 0 if lend is None else nominal - lend
        if reserved[name] < kept:
            return True
        pool = sum(
            (q.quotas[0].nominal or 0) if q.quotas[0].lending_limit is None else q.quotas[0].lending_limit or 0 for q in queues
        )
        used = 0
        for entry in queues:
            numbers = entry.quotas[0]
            keeps = 0 if numbers.lending_limit is None else (numbers.nominal or 0) - numbers.lending_limit
            used += max(0, reserved[entry.name] - keeps)
        limit = own.borrowing_limit
        return used < pool and (limit is None or reserved[name] < nominal + limit)

    for _ in range(rng.randint(0, 8)):
        name = rng.choice(list(reserved))
        if can_take(name):
            reserved[name] += 1
    now = [
        queue(entry.name, quota(entry.quotas[0].nominal, reserved[entry.name], entry.quotas[0].borrowing_limit,
                                entry.quotas[0].lending_limit), "c")
        for entry in queues
    ]  # fmt: skip
    stated = left(now, [])
    units = 0
    while can_take("a"):
        reserved["a"] += 1
        units += 1
    assert stated == units
