"""Cells and points of less than a day: the same figures as the window's, in parts."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fleet.selectors.history import availability, heat
from fleet.selectors.history.availability_rows import HeatMap
from fleet.selectors.history.usable import Line
from tests.factories import a_cluster, a_node, a_pool
from tests.selectors.test_availability import at, lived

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def fleet() -> None:
    east, west = a_cluster("east"), a_cluster("west", read_at=at(0))
    first = lived(a_node("e1", east, product="H100"), (-24, "ready"), (6.25, "not_ready"), (8, "ready"))
    lived(a_node("e2", east, product="H200"), (-24, "ready"), (9.5, "unknown"), (11, "excluded"))
    lived(a_node("w1", west, product="H200"), (2, "ready"))
    a_pool("prod", first, since=at(-24))


def shown(by: str = "cluster", since: float = 0, until: float = 12, cluster: str = "") -> tuple[HeatMap, Line]:
    begin, end = at(since), at(until)
    step = heat.step_for(end - begin)
    assert step is not None
    rows = availability.availability(by, begin, end, cluster=cluster, now=end)
    return heat.heat_and_line(by, begin, end, step=step, rows=rows, cluster=cluster)


@pytest.mark.parametrize(("hours", "minutes"), [(0.5, 5), (1, 5), (6, 15), (24, 60), (48, 60), (24 * 7, None)])
def test_a_day_and_less_has_cells_of_an_hour_or_less(hours: float, minutes: int | None) -> None:
    step = heat.step_for(timedelta(hours=hours))
    assert (None if step is None else step // timedelta(minutes=1)) == minutes
    if step is not None:
        assert timedelta(hours=hours) / step <= 51


def test_a_cell_covers_its_hour_and_what_stands_beside_a_row_is_the_windows_own_figure(fleet: None) -> None:
    picture, _ = shown()
    assert [(row.name, row.nodes) for row in picture.rows] == [("east", 2), ("west", 1)]
    east, west = picture.rows
    assert len(picture.starts) == 12
    assert [round(cell.availability or 0, 1) if cell else None for cell in east.cells[5:10]] == [100, 62.5, 50, 100, 100]
    assert east.cells[9] is not None
    assert east.cells[10] is not None
    assert (east.cells[9].unknown, east.cells[10].unknown) == (25, 50)
    assert west.cells[:3].count(None) == 2, "it was not there yet"
    assert east.total == availability.availability("cluster", at(0), at(12), now=at(12))[0]


def test_a_window_that_begins_within_a_step_counts_what_is_inside_it(fleet: None) -> None:
    picture, line = shown(since=6.5, until=7.4)
    assert picture.step == timedelta(minutes=5)
    assert picture.starts[0] == at(6.5)
    assert [cell.availability for cell in picture.rows[0].cells if cell] == [50] * 11
    assert line.points[-1].missing is None, "the last step is not over"
    assert line.points[0].missing == 8


def test_the_line_leaves_unknown_and_excluded_out_as_that_of_hours(fleet: None) -> None:
    _, line = shown()
    by_start = {point.at: point for point in line.points}
    assert by_start[at(5)].usable == 100
    assert by_start[at(7)].usable == pytest.approx(100 * 2 / 3)
    assert by_start[at(7)].missing == 8
    assert (by_start[at(10)].usable, by_start[at(10)].unknown) == (100, pytest.approx(100 / 3))
    assert (by_start[at(11)].usable, by_start[at(11)].unknown) == (100, 0)


def test_by_pool_a_node_counts_where_it_was_most_of_the_time(fleet: None) -> None:
    picture, _ = shown("pool")
    assert [(row.name, row.nodes) for row in picture.rows] == [("", 2), ("prod", 1)]
    assert [(row.cluster, row.name) for row in availability.nodes_of_step(at(7), at(8), "pool", "prod")] == [("east", "e1")]
    assert [row.name for row in availability.nodes_of_step(at(7), at(8), "product", "H200")] == ["e2", "w1"]
    assert [row.name for row in shown("pool", cluster="west")[0].rows] == [""]


@pytest.mark.parametrize("by", ["cluster", "product", "machine_type", "pool"])
def test_it_asks_as_often_for_many_nodes(fleet: None, by: str) -> None:
    rows = availability.availability(by, at(0), at(12), now=at(12))

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            heat.heat_and_line(by, at(0), at(12), step=HOUR, rows=rows)
        return len(queries)

    few = asked()
    for number in range(5):
        lived(a_node(product=f"P{number}"), (0, "ready"))
    assert (few, asked()) == (1, 1)


def test_steps_begin_where_the_clock_does() -> None:
    moment = at(6.5) + timedelta(minutes=7, seconds=3)
    expected: dict[int, datetime] = {5: at(6.5) + timedelta(minutes=5), 15: at(6.5), 60: at(6)}
    assert {minutes: heat.floor(moment, timedelta(minutes=minutes)) for minutes in expected} == expected
