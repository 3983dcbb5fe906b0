"""Availability over windows: by day figures and by the periods themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.domain.history.intervals import Span, seconds
from fleet.models import Node, NodeRevision, VerdictPeriod, XidBurstRow
from fleet.selectors.history import availability, startup_times
from fleet.selectors.history import usable as usable_history
from fleet.selectors.history.changes import change_log
from fleet.selectors.xids import bursts
from fleet.services import rollups
from tests.factories import a_cluster, a_node, a_pool

pytestmark = pytest.mark.django_db
MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC)


def at(hours: float) -> datetime:
    return MIDNIGHT + timedelta(hours=hours)


def lived(node: Node, *values: tuple[float, str]) -> Node:
    """Verdicts by the hour at which each began; the last one stands."""
    for (start, verdict), (end, _) in zip(values, [*values[1:], (None, "")], strict=True):
        period = (at(start), None if end is None else at(end))
        VerdictPeriod.objects.create(node=node, period=period, verdict=verdict, usable=8 if verdict == "ready" else 0, expected=8)
    return node


@pytest.fixture
def fleet() -> None:
    east, west = a_cluster("east"), a_cluster("west", read_at=MIDNIGHT)
    lived(a_node("e1", east, product="H100"), (-24, "ready"), (6, "not_ready"), (8, "ready"))
    lived(a_node("e2", east, product="H200"), (-24, "ready"), (12, "unknown"), (18, "excluded"))
    lived(a_node("w1", west, product="H200"), (-24, "ready"))
    list(rollups.rebuild(at(-24).date(), at(24)))


@pytest.mark.parametrize("now", [None, at(24)])
def test_days_and_periods_tell_the_same(fleet: None, now: datetime | None) -> None:
    east, west = availability.availability("cluster", at(0), at(24) if now is None else at(24) - timedelta(seconds=0), now=now)
    assert (east.name, west.name) == ("east", "west")
    assert east.availability == pytest.approx(100 * 34 / 36)
    assert east.unknown == pytest.approx(100 * 6 / 48)
    assert east.excluded == pytest.approx(100 * 6 / 48)
    assert (east.incidents, east.flaps, east.mttr_s, east.first_bad_at) == (1, 0, 7200, at(6))
    assert (west.availability, west.incidents, west.mttr_s, west.first_bad_at) == (100, 0, None, None)


def test_a_window_that_is_no_day_is_exact(fleet: None) -> None:
    (row, *_) = availability.availability("node", at(7), at(9) + timedelta(seconds=30), now=at(24))
    assert (row.cluster, row.name, row.availability) == ("east", "e1", pytest.approx(100 * (3600 + 30) / 7230))
    assert row.incidents == 0, "it began before"
    assert (row.repaired, row.mttr_s) == (1, 7200)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 47 * 60), length=st.integers(1, 60 * 60), odd=st.integers(0, 999_999))
def test_whole_days_and_the_rest_add_up_to_the_window(fleet: None, start: int, length: int, odd: int) -> None:
    since = at(-24) + timedelta(minutes=start, microseconds=odd)
    until = min(since + timedelta(minutes=length), at(24))
    fields = {row.name: row for row in availability.availability("node", since, until, now=at(24))}
    for node in Node.objects.all():
        periods = VerdictPeriod.objects.filter(node=node).order_by("period")
        lived = [Span(period.period.lower, period.period.upper, period.verdict) for period in periods]
        assert fields[node.name].seconds == seconds(lived, since, until)
    began = [node for node in ("e1",) if since <= at(6) < until]
    assert [name for name, row in fields.items() if row.incidents] == began


def test_nodes_groups_and_one_cluster(fleet: None) -> None:
    rows = availability.availability("product", at(0), at(24))
    assert [(row.name, row.nodes) for row in rows] == [("H100", 1), ("H200", 2)]
    assert [row.name for row in availability.availability("node", at(0), at(24), cluster="west")] == ["w1"]
    assert [row.name for row in availability.worst_nodes(at(-24), at(24))] == ["e1"]
    assert [row.name for row in availability.nodes_of_day(at(0).date(), "product", "H200")] == ["e2", "w1"]


@pytest.mark.parametrize("now", [None, at(24)])
def test_pools_have_their_own_time_and_their_promise(now: datetime | None) -> None:
    good, bad, moved, alone = (a_node(f"n{number}") for number in range(4))
    for node in (good, moved, alone):
        lived(node, (-24, "ready"))
    lived(bad, (-24, "ready"), (6, "not_ready"), (12, "ready"))
    a_pool("prod", good, bad, since=at(-30), availability_target=95)
    first = a_pool("first", since=at(-30))
    first.memberships.create(node=moved, period=(at(-24), at(1)))
    a_pool("second", moved, since=at(1), availability_target=99)
    list(rollups.rebuild(at(-24).date(), at(24)))
    until = at(24) if now is None else at(24) - timedelta(hours=1)
    rows = {row.name: row for row in availability.availability("pool", at(-24), until, now=now)}
    assert set(rows) == {"prod", "first", "second", ""}
    assert rows["prod"].availability == pytest.approx(100 * (96 - 6) / 96, abs=0.2)
    assert (rows["prod"].nodes, rows["prod"].incidents, rows["prod"].target_percent, rows["prod"].is_below) == (2, 1, 95, True)
    assert (rows["first"].target_percent, rows["first"].is_below) == (None, None)
    assert (rows["second"].target_percent, rows["second"].is_below) == (99, False)
    assert rows["first"].seconds["ready"] == 24 * 3600, "the day before"
    assert rows["second"].seconds["ready"] == (24 * 3600 if now is None else 23 * 3600), "the day on which it moved, early"
    (only,) = availability.availability("cluster", at(-24), until, pool="prod", now=now)
    assert only.seconds == rows["prod"].seconds
    heat = availability.heat_map("pool", at(-24), at(24))
    assert [row.name for row in heat.rows] == ["", "first", "prod", "second"]
    assert [row.name for row in availability.nodes_of_day(at(0).date(), "pool", "prod")] == ["n1", "n0"]
    assert [row.name for row in availability.nodes_of_day(at(0).date(), "pool", "")] == ["n3"]


def test_a_heat_map_has_a_cell_for_each_day_of_each_group(fleet: None) -> None:
    heat_map = availability.heat_map("cluster", at(-48), at(24))
    assert len(heat_map.starts) == 3
    east = heat_map.rows[0]
    assert east.cells[0] is None
    assert east.cells[1] is not None
    assert east.cells[2] is not None
    assert (east.cells[1].availability, east.cells[1].is_unknown) == (100, False)
    assert east.cells[2].availability == pytest.approx(100 * 34 / 36)
    assert (east.nodes, east.total.incidents) == (2, 1)


def test_a_day_mostly_unknown_is_not_painted_by_its_lesser_part() -> None:
    lived(a_node(), (0, "ready"), (11, "unknown"))
    rollups.rebuild_day(at(0).date(), at(24))
    (row,) = availability.heat_map("cluster", at(0), at(24)).rows
    assert row.cells[0] is not None
    assert (row.cells[0].availability, row.cells[0].is_unknown) == (100, True)


def test_the_heat_map_asks_as_often_for_many_nodes(fleet: None) -> None:
    with CaptureQueriesContext(connection) as few:
        availability.heat_map("product", at(-24), at(24))
    for number in range(5):
        lived(a_node(product=f"P{number}"), (0, "ready"))
    rollups.rebuild_day(at(0).date(), at(24))
    with CaptureQueriesContext(connection) as many:
        availability.heat_map("product", at(-24), at(24))
    assert len(few) == len(many)


def test_the_line_of_usable_cards_leaves_unknown_and_excluded_out(fleet: None) -> None:
    line = usable_history.usable_line(at(0), at(24))
    shown = {point.at: point for point in line.points}
    assert shown[at(0)].usable == 100
    assert (shown[at(6)].usable, shown[at(6)].missing) == (pytest.approx(100 * 2 / 3), 8)
    assert (shown[at(12)].usable, shown[at(12)].unknown) == (100, pytest.approx(100 / 3))
    assert line.lowest == shown[at(6)]
    assert usable_history.usable_line(at(0), at(7) - timedelta(minutes=1)).points[-1].missing is None, "the hour is not over"
    assert usable_history.usable_line(at(-96), at(24)).points[0].missing is None, "the line begins within it"
    assert usable_history.usable_line(at(0), at(24), cluster="west").lowest.usable == 100  # type: ignore[union-attr]
    assert usable_history.usable_line(at(24), at(48)).points == ()


def test_bootstrap_times_are_medians_of_those_that_got_there() -> None:
    for minutes in (4, 6, 20):
        a_node(kubelet_ready_at=at(0), gpu_ready_at=at(minutes / 60), machine_type="p5")
    a_node(kubelet_ready_at=at(0), bootstrapping=True, machine_type="p5")
    a_node(machine_type="p5")
    (row,) = startup_times.startup_times_by("machine_type", at(0), at(24))
    assert (row.name, row.nodes, row.waiting, row.median_min) == ("p5", 3, 1, 6)
    assert row.p90_min == pytest.approx(6 + 0.8 * 14)
    assert startup_times.startup_times_by("cluster", at(24), at(48)) == []


def test_bootstrap_times_by_the_pool_a_node_was_in_when_it_became_good() -> None:
    early = a_node(kubelet_ready_at=at(0), gpu_ready_at=at(0.1))
    late = a_node(kubelet_ready_at=at(0), gpu_ready_at=at(0.2))
    waiting = a_node(kubelet_ready_at=at(0), bootstrapping=True)
    a_pool("a", waiting, since=at(0)).memberships.create(node=early, period=(at(0), at(1)))
    a_pool("b", early, since=at(1))
    a_pool("c", late, since=at(0.2))
    by_pool = startup_times.startup_times_by("pool", at(0), at(24))
    assert [(row.name, row.nodes, row.waiting) for row in by_pool] == [("c", 1, 0), ("a", 1, 1)]


def test_bursts_are_summed_by_code_and_crashes_count_once() -> None:
    result, two = a_node(), a_node()
    for node, uuid, code, incident in (
        (result, "GPU-1", 79, ""),
        (result, "GPU-2", 45, "x"),
        (two, "GPU-3", 45, "x"),
        (two, "GPU-4", 45, ""),
    ):
        XidBurstRow.objects.create(node=node, uuid=uuid, code=code, started_at=at(1), last_at=at(1.5), count=3, incident=incident)
    bursts_by_code = bursts.bursts_by_code(at(0), at(24))
    assert [(row.code, row.bursts, row.incidents, row.events, row.gpus, row.nodes) for row in bursts_by_code] == [
        (45, 3, 2, 9, 3, 2),
        (79, 1, 1, 3, 1, 1),
    ]
    assert bursts.bursts_by_code(at(2), at(24)) == []


def revision(node: Node, hour: float, key: str, before: str, after: str) -> None:
    changes = [{"section": "labels", "key": key, "before": before, "after": after}]
    NodeRevision.objects.create(node=node, period=(at(hour), at(hour + 0.01)), facts={}, changes=changes)


def test_the_log_puts_together_what_changed_alike() -> None:
    nodes = [a_node(f"n{number}", first_seen_at=at(-1)) for number in range(3)]
    for number, node in enumerate(nodes):
        revision(node, 1 + number / 10, "nvidia.com/cuda.driver-version.full", "570", "580")
    revision(nodes[0], 5, "team", "a", "b")
    Node.objects.filter(pk=nodes[2].pk).update(removed_at=at(7))
    log = change_log(at(0), at(24))
    assert [(item.kind, item.title, len(item.nodes)) for item in log.groups] == [
        ("left", "Left", 1),
        ("labels", "Label team a → b", 1),
        ("driver", "Driver 570 → 580", 3),
    ]
    assert log.complete_from == at(0)
    assert [entry.kind for entry in change_log(at(0), at(24), kinds=["driver"]).groups] == ["driver"]
    assert [row.kind for row in change_log(at(0), at(24), node="n0").groups] == ["labels", "driver"]
    assert change_log(at(0), at(24), clusters=["west"]).groups == ()


def test_a_log_of_too_many_changes_says_from_when_it_is_complete() -> None:
    node = a_node(first_seen_at=at(-1))
    for number in range(6):
        revision(node, number, f"k{number}", "a", "b")
    log = change_log(at(0), at(24), most=4)
    assert len(log.groups) == 4
    assert log.complete_from == at(1)
