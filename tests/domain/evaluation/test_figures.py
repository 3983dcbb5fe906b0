"""The figures of one node between all and nothing, and their sums."""

from __future__ import annotations

import msgspec
import pytest

from fleet.domain.devices.slots import ResourceSlots, Slots
from fleet.domain.evaluation.evaluate import evaluate
from fleet.domain.evaluation.figures import NodeFigures, lasting, unreachable
from fleet.domain.evaluation.fleet_figures import sum_nodes
from tests.builders import make_node
from tests.domain.evaluation.snapshots import snapshot_of


@pytest.mark.parametrize("slots", [8, 7, 5, 4, 1, 0])
def test_a_device_plugin_that_registers_fewer_devices_advertises_fewer_gpus(slots: int) -> None:
    """Capacity itself falls, so that allocatable is no less than it."""
    node = make_node(capacity={"nvidia.com/gpu": slots}, allocatable={"nvidia.com/gpu": slots})
    figures = evaluate(snapshot_of(node)).nodes[0].figures
    assert (figures.physical, figures.advertised) == (8, slots)


@pytest.mark.parametrize(("unhealthy", "advertised"), [(1, 7), (3, 5), (8, 0)])
def test_unhealthy_devices_are_not_advertised(unhealthy: int, advertised: int) -> None:
    assert evaluate(snapshot_of(make_node(unhealthy=unhealthy))).nodes[0].figures.advertised == advertised


@pytest.mark.parametrize(("allocatable", "advertised"), [(32, 8), (31, 7), (29, 7), (28, 7), (4, 1), (3, 0)])
def test_a_gpu_of_which_some_shares_are_unhealthy_is_not_advertised(allocatable: int, advertised: int) -> None:
    node = make_node(replicas=4, sharing="time-slicing", allocatable={"nvidia.com/gpu": allocatable})
    assert evaluate(snapshot_of(node)).nodes[0].figures.advertised == advertised


def figures(**changes: object) -> NodeFigures:
    fields = {"physical": 8, "expected": 8, "advertised": 8, "usable": 8, "verdict": "ready", "state": "full", "mode": "Full GPU"}
    slots = Slots(capacity=8, allocatable=8, requested=3, free=5)
    resource = ResourceSlots(name="nvidia.com/gpu", kind="gpu", capacity=8, allocatable=8, requested=3, free=5)
    return NodeFigures(**{"slots": slots, "resources": (resource,), **fields, **changes})  # type: ignore[arg-type]


def test_usable_and_missing_add_up_to_expected() -> None:
    rows = [
        figures(),
        figures(usable=5, advertised=5, verdict="degraded", broken_rung="resources_advertised", state="partial"),
        figures(usable=0, advertised=0, verdict="not_ready", broken_rung="gpu_present", physical=7, state="not_ready"),
        figures(usable=0, advertised=0, verdict="excluded", broken_rung="gpu_present", state="cordoned"),
        figures(expected=4, usable=8, advertised=8),
    ]
    total = sum_nodes(rows)
    assert (total.expected, total.physical, total.usable, total.degraded_usable, total.advertised) == (36, 39, 17, 5, 17)
    assert sum(item.count for item in total.missing) == total.expected - total.usable
    assert sum(entry.count for entry in total.not_advertised) == total.expected - total.advertised
    assert [(result.verdict, result.broken_rung, result.count, result.nodes) for result in total.missing] == [
        ("not_ready", "gpu_present", 8, 1),
        ("degraded", "resources_advertised", 3, 1),
        ("excluded", "", 8, 1),
    ]
    assert sum(row.missing or 0 for row in rows) == sum(value.count for value in total.missing)


def test_an_uncounted_node_is_in_no_sum_and_makes_no_zero() -> None:
    unknown = figures(physical=None, expected=None, usable=None, advertised=None, slots=Slots(), resources=())
    alone = sum_nodes([unknown])
    assert (alone.is_counted, alone.physical, alone.slots, alone.uncounted_nodes) == (False, None, Slots(), 1)
    both = sum_nodes([unknown, figures()])
    assert (both.is_counted, both.expected, both.physical, both.uncounted_nodes, both.slots.free) == (True, 8, 8, 1, 5)
    assert sum_nodes([]).is_counted


def test_free_slots_of_nodes_that_are_not_usable_stand_apart() -> None:
    over = figures(slots=Slots(capacity=8, allocatable=7, requested=8, free=-1))
    rows = [figures(), figures(verdict="degraded"), over, figures(verdict="not_ready"), figures(verdict="excluded", mode="MIG")]
    total = sum_nodes(rows)
    assert (total.slots.free, total.free_unusable) == (10, 10)
    assert [(row.mode, row.slots.free, row.free_unusable) for row in total.modes] == [("Full GPU", 10, 5), ("MIG", 0, 5)]
    assert [(row.nodes, row.free) for row in total.resources] == [(5, 15)]
    kept_once = sum_nodes([figures(), lasting(figures())])
    assert (kept_once.slots.free, kept_once.free_unusable) == (None, None)


def test_requests_that_were_not_kept_of_one_node_are_in_no_sum() -> None:
    total = sum_nodes([figures(), lasting(figures())])
    assert total.slots == Slots(capacity=16, allocatable=16, requested=None, free=None)
    assert [(resource.nodes, resource.capacity, resource.requested, resource.free) for resource in total.resources] == [
        (2, 16, None, None)
    ]


def test_an_unreachable_node_has_no_usable_gpu_and_an_unknown_number_stays_unknown() -> None:
    lost = unreachable(figures(usable=7, flapping=True, reached=7))
    assert (lost.verdict, lost.usable, lost.flapping, lost.reached, lost.physical, lost.missing) == (
        "unknown",
        0,
        False,
        -1,
        8,
        8,
    )
    assert unreachable(figures(usable=None)).usable is None


def test_figures_survive_being_stored() -> None:
    row = figures(mig_instances={"1g.10gb": 7}, expected_source="ordered")
    assert msgspec.json.decode(msgspec.json.encode(row), type=NodeFigures) == row
