"""The fleet in figures: cards usable of expected, and the missing ones by reason, adding up."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.filters import NodeFilters
from fleet.models import Node
from fleet.selectors import fleet, nodes
from tests.factories import a_node

pytestmark = pytest.mark.django_db


def summary() -> fleet.Summary:
    return fleet.summary(nodes.nodes())


def filtered(**params: Any) -> set[str]:
    return set(NodeFilters(params, queryset=nodes.nodes()).qs.values_list("name", flat=True))


def a_small_fleet() -> None:
    a_node("good", verdict="ready", usable=8)
    a_node("partly", verdict="degraded", broken_rung="resources_advertised", usable=7)
    a_node("broken", verdict="not_ready", broken_rung="driver_loaded", usable=0)
    a_node("broken-too", verdict="not_ready", broken_rung="driver_loaded", usable=0, expected=4, physical=4)
    a_node("drained", verdict="excluded", broken_rung="", usable=0)
    a_node("dark", verdict="unknown", broken_rung="cuda_works", usable=0, flapping=True)
    a_node("uncounted", verdict="ready", usable=None, expected=None, physical=None, offered=None)


def test_usable_and_missing_add_up_to_expected() -> None:
    a_small_fleet()
    found = summary()
    assert (found.expected, found.usable) == (44, 15)
    assert sum(one.count for one in found.missing) == found.expected - found.usable
    assert [(one.verdict, one.broken_rung, one.count, one.nodes) for one in found.missing] == [
        ("not_ready", "driver_loaded", 12, 2),
        ("excluded", "", 8, 1),
        ("unknown", "cuda_works", 8, 1),
        ("degraded", "resources_advertised", 1, 1),
    ]
    assert found.uncounted_nodes == 1


def test_every_verdict_is_counted_also_those_that_no_node_has() -> None:
    a_small_fleet()
    assert summary().by_verdict == {"ready": 2, "degraded": 1, "not_ready": 2, "starting": 0, "unknown": 1, "excluded": 1}
    assert summary().flapping == 1


def test_the_list_behind_the_missing_has_as_many_nodes() -> None:
    a_small_fleet()
    missing = filtered(missing="true")
    assert missing == {"partly", "broken", "broken-too", "drained", "dark"}
    assert len(missing) == sum(one.nodes for one in summary().missing)
    assert filtered(missing="false") == {"good", "uncounted"}


def test_more_cards_than_expected_are_no_less_than_none_missing() -> None:
    a_node(verdict="ready", usable=8, expected=4)
    found = summary()
    assert (found.expected, found.usable, found.missing) == (8, 8, ())
    assert Node.objects.count() == 1
