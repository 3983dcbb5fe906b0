from __future__ import annotations

import pytest

from fleet.domain.label_selectors import parse
from fleet.domain.pools.selection import PoolSelector, selects, why_not
from tests.builders import H100
from tests.domain.placement.fleets import bare


@pytest.mark.parametrize(
    ("selector", "says"),
    [
        (PoolSelector(), ""),
        (PoolSelector(labels=parse("pool=a,!spot")), ""),
        (PoolSelector(labels=parse("pool in (b)")), "Its labels do not match pool=b."),
        (PoolSelector(clusters=("west",)), "It is in cluster east."),
        (PoolSelector(clusters=("west", "east"), products=(H100,)), ""),
        (PoolSelector(products=("NVIDIA-L4",)), f"Its product is {H100}."),
        (PoolSelector(partitioning=("mig-single",)), "Its partitioning is none."),
        (PoolSelector(sharing=("exclusive",)), ""),
        (PoolSelector(sharing=("mps",)), "Its sharing is exclusive."),
    ],
)
def test_every_part_must_hold_and_says_when_it_does_not(selector: PoolSelector, says: str) -> None:
    node = bare(labels={"pool": "a"})
    assert selects(selector, node) is (not says)
    assert why_not(selector, node) == ((says,) if says else ())


def test_unknown_values_select_nothing() -> None:
    node = bare(sharing=None, product="")
    assert not selects(PoolSelector(sharing=("exclusive",)), node)
    assert why_not(PoolSelector(sharing=("exclusive",), products=(H100,)), node) == (
        "Its product is unknown.",
        "Its sharing is unknown.",
    )
