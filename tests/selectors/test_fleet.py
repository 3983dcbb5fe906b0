"""The fleet in figures: cards usable of expected, and the missing ones by reason, adding up."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.domain.evaluation.fleet_figures import FleetFigures
from fleet.filters import NodeFilters
from fleet.models import Node
from fleet.selectors import figures
from fleet.selectors.nodes import nodes
from tests.factories import a_node

pytestmark = pytest.mark.django_db


def summary() -> FleetFigures:
    return figures.summary(nodes.nodes()).figures


def filtered(**params: Any) -> set[str]:
    return set(NodeFilters(params, queryset=nodes.nodes()).qs.values_list("name", flat=True))


def a_small_fleet() -> None:
    a_node("good", verdict="ready", usable=8)
    a_node("partly", verdict="degraded", broken_rung="resources_advertised", usable=7)
    a_node("broken", verdict="not_ready", broken_rung="driver_loaded", usable=0)
    a_node("broken-too", verdict="not_ready", broken_rung="driver_loaded", usable=0, expected=4, physical=4)
    a_node("drained", verdict="excluded", broken_rung="", usable=0)
    a_node("dark", verdict="unknown", broken_rung="cuda_works", usable=0, flapping=True)
    a_node("uncounted", verdict="ready", usable=None, expected=None, physical=None, advertised_gpus=None)


def test_usable_and_missing_add_up_to_expected() -> None:
    a_small_fleet()
    result = summary()
    assert (result.expected, result.usable) == (44, 15)
    assert sum(item.count for item in result.missing) == result.expected - result.usable
    assert [(entry.verdict, entry.broken_rung, entry.count, entry.nodes) for entry in result.missing] == [
        ("not_ready", "driver_loaded", 12, 2),
        ("degraded", "resources_advertised", 1, 1),
        ("unknown", "cuda_works", 8, 1),
        ("excluded", "", 8, 1),
    ]
    assert result.uncounted_nodes == 1


def test_every_verdict_is_counted_also_those_that_no_node_has() -> None:
    a_small_fleet()
    assert summary().by_verdict == {"ready": 2, "degraded": 1, "not_ready": 2, "starting": 0, "unknown": 1, "excluded": 1}
    assert summary().flapping == 1


def test_the_list_behind_the_missing_has_as_many_nodes() -> None:
    a_small_fleet()
    missing = filtered(missing="true")
    assert missing == {"partly", "broken", "broken-too", "drained", "dark"}
    assert len(missing) == sum(item.nodes for item in summary().missing)
    assert filtered(missing="false") == {"good", "uncounted"}


def test_four_declared_gpus_are_four_though_the_node_has_eight() -> None:
    a_node(verdict="ready", usable=8, physical=8, expected=4, advertised_gpus=8)
    result = summary()
    assert (result.expected, result.physical, result.usable, result.advertised) == (4, 8, 4, 4)
    assert (result.missing, result.not_advertised) == ((), ())
    assert filtered(missing="true") == filtered(not_advertised="true") == set()


def test_seven_of_eight_are_one_missing_in_the_sum_and_in_the_list() -> None:
    a_node(verdict="degraded", usable=7, physical=8, expected=8, advertised_gpus=7, broken_rung="resources_advertised")
    result = summary()
    assert (result.expected, result.usable, result.advertised) == (8, 7, 7)
    assert filtered(missing="true") == filtered(not_advertised="true") == {Node.objects.get().name}
