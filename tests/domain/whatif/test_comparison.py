"""A kept forecast against what happened: only what it was to change counts, and unknown is not the same as unchanged."""

from __future__ import annotations

from typing import Any

from fleet.domain.devices.slots import ResourceSlots
from fleet.domain.snapshot import Taint
from fleet.domain.whatif.comparison import FactDifference, Facts, ForecastNode, compare, facts, sentence, summary

GPU = "nvidia.com/gpu"


def state(**changes: Any) -> Facts:
    given: dict[str, Any] = {
        "verdict": "ready",
        "schedulable": True,
        "mode": "Full GPU",
        "driver_version": "580.1",
        "taints": (),
        "pools": ("h100",),
        "resources": (ResourceSlots(name=GPU, kind="gpu", allocatable=8, requested=3),),
    }
    return facts(**{**given, **changes})


SLICED = state(mode="Time-sliced ×4", resources=(ResourceSlots(name=GPU, kind="gpu", allocatable=32),))
PLAN = ForecastNode(name="n", before=state(), after=SLICED)


def outcome(now: Facts | None, node: ForecastNode = PLAN) -> Any:
    (row,) = compare([node], {} if now is None else {"n": now})
    return row


def test_what_came_as_forecast() -> None:
    assert outcome(SLICED).state == "as_forecast"
    assert outcome({**SLICED, "pools": ["other"], "taints": ["x=y:NoSchedule"]}).state == "as_forecast", (
        "it said nothing of these"
    )


def test_what_was_not_applied_yet() -> None:
    assert outcome(state()).state == "not_applied"


def test_what_came_otherwise_names_fact_and_values() -> None:
    row = outcome({**SLICED, "allocatable": {GPU: 28}})
    assert row.state == "differs"
    assert row.differences == (FactDifference("allocatable", {GPU: 32}, {GPU: 28}),)


def test_an_unknown_value_is_not_as_forecast() -> None:
    assert outcome({**SLICED, "allocatable": {GPU: None}}).state == "differs"


def test_pods_that_came_and_went_are_no_difference() -> None:
    busy = state(resources=(ResourceSlots(name=GPU, kind="gpu", allocatable=8, requested=8),))
    cordoned = ForecastNode(name="n", before=state(), after=state(schedulable=False))
    assert outcome({**busy, "schedulable": False}, cordoned).state == "as_forecast"


def test_the_order_of_taints_and_pools_does_not_matter() -> None:
    first, second = Taint("a", "1", "NoSchedule"), Taint("b", "2", "NoExecute")
    assert state(taints=(first, second), pools=("x", "y")) == state(taints=(second, first), pools=("y", "x"))


def test_removed_and_added_nodes() -> None:
    assert outcome(None).state == "removed"
    assert outcome(None, ForecastNode(name="new-1", before=None, after=state())).state == "not_compared"


def test_the_sentence_adds_up() -> None:
    rows = compare([PLAN, ForecastNode(name="m", before=state(), after=SLICED)], {"n": SLICED, "m": state()})
    assert sentence(summary(rows)) == "Of 2 nodes, 1 as forecast, 1 not changed (yet)."
    assert sentence(summary([outcome(SLICED)])) == "The node is as forecast."
    assert sentence({}) == "The forecast changed no node."
