"""The History page: its answer, its chart, its tables, and its odd states."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import plotly.graph_objects as go
import pytest

from fleet.models import FindingRow, Node, NodeRevision, VerdictPeriod, XidBurstRow
from fleet.selectors.history import availability, availability_rows, heat
from fleet.selectors.history import usable as usable_history
from fleet.selectors.history.changes import change_log
from fleet.selectors.history.usable import Line, Point
from fleet.services import rollups
from fleet.web.charts import history as history_chart
from fleet.web.charts import time_axis
from fleet.web.history import title
from fleet.web.shell import time_range
from tests.factories import a_cluster, a_node, a_pool, a_verdict_period
from tests.web.test_pages import text_of

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC).replace(microsecond=0)
MIDNIGHT = NOW.replace(hour=0, minute=0, second=0)


def ago(days: float) -> datetime:
    return MIDNIGHT - timedelta(days=days)


def lived(node: Node, *values: tuple[float, str]) -> Node:
    """Verdicts by how many days before this midnight each began."""
    for (start, verdict), end in zip(values, [*(start for start, _ in values[1:]), None], strict=True):
        period = (ago(start), None if end is None else ago(end))
        VerdictPeriod.objects.create(node=node, period=period, verdict=verdict, usable=8 if verdict == "ready" else 0, expected=8)
    return node


@pytest.fixture
def fleet() -> None:
    east, west = a_cluster("east"), a_cluster("west", read_at=NOW)
    for number in range(3):
        lived(a_node(f"e{number}", east, first_seen_at=ago(40)), (20, "ready"))
    bad = lived(a_node("bad", east), (20, "ready"), (5.5, "not_ready"), (5.25, "ready"))
    lived(a_node("dark", west, product="NVIDIA-L40S"), (20, "ready"), (9, "unknown"), (6, "ready"))
    changes = [{"section": "labels", "key": "nvidia.com/cuda.driver-version.full", "before": "570", "after": "580"}]
    for node in Node.objects.filter(name__startswith="e"):
        NodeRevision.objects.create(node=node, period=(ago(5.6), None), facts={}, changes=changes)
    FindingRow.objects.create(cluster=east, node=bad, rule="xid", severity="fatal", text="Xid 79.", period=(ago(5.5), ago(5.25)))
    XidBurstRow.objects.create(node=bad, uuid="GPU-1", code=79, started_at=ago(5.5), last_at=ago(5.5), count=2)
    list(rollups.rebuild(ago(20).date(), NOW))


def test_the_title_is_the_answer(fleet: None, reader: Any) -> None:
    shown = text_of(reader, "/history/?window=7d").replace("\N{NO-BREAK SPACE}", " ")
    known_h = 4 * (NOW - ago(6)).total_seconds() / 3600
    percent = re.search(r"One of 2 clusters is below 99\.5 %: east, (9\d\.\d\d) % ready", shown)
    assert percent, shown
    assert float(percent[1]) == pytest.approx(100 - 100 * 6 / known_h, abs=0.02)
    assert "points below" in shown


def row(name: str, percent: float | None) -> Any:
    return availability_rows.Row(name, "", 1, {}, percent, 0, 0, 0, 0, 0, 0, None, None)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], "No history yet"),
        ([row("a", None)], "Unknown: no cluster was reachable in this time"),
        ([row("a", 99.9), row("b", 100)], "Every cluster was ready for 99.5 % of known time or more"),
        ([row("a", 99.9)], "a was ready for 99.5 % of known time or more"),
        ([row("a", 97)], "a is below 99.5 %: 97.00 % ready, 2.50 points below"),
        (
            [row("a", 97), row("b", 98), row("c", 100)],
            "2 of 3 clusters are below 99.5 %, lowest a, 97.00 % ready, 2.50 points below",
        ),
        (
            [row("", 97), row("b", 100)],
            "One of 2 clusters is below 99.5 %: nodes of unknown cluster, 97.00 % ready, 2.50 points below",
        ),
        ([row("", 97)], "Nodes of unknown cluster were 97.00 % ready, 2.50 points below 99.5 %"),
        ([row("", 99.9)], "Nodes of unknown cluster were ready for 99.5 % of known time or more"),
    ],
)  # fmt: skip
def test_the_title_in_every_state(rows: list[Any], expected: str) -> None:
    assert title(rows, "cluster").replace("\N{NO-BREAK SPACE}", " ") == expected


def pool(name: str, percent: float | None, target: float | None) -> Any:
    return replace(row(name, percent), target_percent=target)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [pool("a100-batch", 97.1, 98), pool("l40s", 97.2, 95)],
            "One pool is below its availability target: a100-batch, 97.10 % ready, target 98 %",
        ),
        (
            [pool("a", 80, 81), pool("b", 90, 99.5), pool("c", 99, 98)],
            "2 pools are below their availability target, furthest b, 90.00 % ready, target 99.5 %",
        ),
        ([pool("a", 99, 98), pool("", 10, None)], "Every pool meets its availability target"),
        ([pool("a", 99, 98), pool("b", 10, None)], "Every pool with an availability target meets it"),
        ([pool("a", None, 98), pool("b", 10, None)], "Availability of the pools with a target is unknown in this window"),
        ([pool("", 97, None)], "Nodes in no pool were 97.00 % ready, 2.50 points below 99.5 %"),
        ([pool("a", 97, None), pool("b", 100, None)], "One of 2 pools is below 99.5 %: a, 97.00 % ready, 2.50 points below"),
    ],
)  # fmt: skip
def test_the_title_of_pools_compares_with_their_targets(rows: list[Any], expected: str) -> None:
    assert title(rows, "pool").replace("\N{NO-BREAK SPACE}", " ") == expected


def test_by_pool_where_there_are_pools(fleet: None, reader: Any) -> None:
    a_pool("research", *Node.objects.filter(name__in=["bad", "e0"]), since=ago(30), availability_target=99.8)
    list(rollups.rebuild(ago(20).date(), NOW))
    shown = text_of(reader, "/history/").replace("\N{NO-BREAK SPACE}", " ")
    for words in (
        "One pool is below its availability target: research, 9",
        "target 99.8 %",
        "Ready nodes, pool × day",
        "In no pool",
        "Below",
    ):
        assert words in shown, words
    cell = text_of(reader, f"/history/?name=research&day={ago(6).date()}").replace("\N{NO-BREAK SPACE}", " ")
    assert "2 nodes, the least ready first" in cell
    assert "Fatal xid" in cell
    nowhere = text_of(reader, f"/history/?name=&day={ago(6).date()}").replace("\N{NO-BREAK SPACE}", " ")
    assert "3 nodes, the least ready first" in nowhere
    assert "Ready nodes, cluster × day" in text_of(reader, "/history/?by=cluster")


def test_without_pools_there_is_nothing_to_group_by_pool(fleet: None, reader: Any) -> None:
    shown = text_of(reader, "/history/?by=pool")
    assert "Ready nodes, cluster × day" in shown


def the_chart(days: int = 30, by: str = "cluster", *, ranked: bool = True) -> dict[str, Any]:
    since = ago(days - 1)
    return history_chart.history(
        availability.heat_map(by, since, NOW), usable_history.usable_line(since, NOW), change_log(since, NOW).groups,
        lambda name, day: f"?name={name}&day={day.date()}", ranked=ranked,
    )  # fmt: skip


@pytest.mark.parametrize("days", [7, 30, 90])
def test_the_figure_is_one_that_plotly_takes(fleet: None, days: int) -> None:
    figure = the_chart(days)["figure"]
    go.Figure(figure)  # raises on anything it does not know


def test_cells_stand_in_their_band_and_below_the_first_print_their_number(fleet: None) -> None:
    traces = {trace["name"]: trace for trace in the_chart()["figure"]["data"] if "name" in trace}
    (word,) = [name for name in traces if name not in ("99.5 % and more", "?")]
    assert word == "90 to 95"
    assert traces[word]["text"] == ["93.8"]
    assert traces[word]["textposition"] == "inside"
    assert traces["99.5 % and more"]["textposition"] == "none"
    assert (traces["?"]["text"], traces["?"]["marker"]["pattern"]["shape"]) == (["?"] * 3, "/")
    assert traces["?"]["customdata"][0][0] == f"?name=west&day={ago(9).date()}"


def test_the_change_before_the_dip_is_pointed_at(fleet: None) -> None:
    chart = the_chart()
    assert "Driver 570 → 580" in chart["sentence"]
    assert len(chart["figure"]["layout"]["shapes"]) == 1


def test_the_sentence_ranks_no_group_where_less_than_a_day_was_observed(fleet: None) -> None:
    assert the_chart()["sentence"].replace("\N{NO-BREAK SPACE}", " ").startswith("Lowest over 30 days: east, ")
    assert "Lowest over" not in the_chart(ranked=False)["sentence"]


@pytest.mark.parametrize(("hours", "anchor"), [(2, "left"), (300, "left"), (500, "right"), (719, "right")])
def test_the_label_of_the_lowest_point_stays_inside_the_axis(hours: int, anchor: str) -> None:
    begin, end = NOW, NOW + timedelta(days=30)
    lowest = Point(begin + timedelta(hours=hours), 90.0, 0.0, 2.0)
    line = Line(timedelta(hours=1), (lowest, Point(lowest.at + timedelta(minutes=30), 99.0, 0.0, 0.0)))
    note = next(line_note for line_note in time_axis.line_notes(line, lowest, begin, end, 0.5) if "at" in line_note["text"])
    assert (note["xanchor"], note["xshift"]) == (anchor, -8 if anchor == "right" else 8)


def test_the_table_says_what_the_map_shows_and_leads_to_the_nodes(fleet: None) -> None:
    chart = the_chart(7)
    assert chart["columns"] == ["Day", "east", "west"]
    cells = {line[0]: line[1:] for line in chart["rows"]}
    assert len(cells) == 7
    east, west = cells[f"{ago(6).date()}"]
    assert east["text"].replace("\N{NO-BREAK SPACE}", " ") == "93.8 % ready"
    assert east["url"].startswith("?name=east")
    assert "100.0" in west["text"]


@pytest.mark.parametrize(
    ("percent", "word"),
    [
        (100, "99.5 % and more"),
        (99.5, "99.5 % and more"),
        (99.49, "98 to 99.5"),
        (95, "95 to 98"),
        (90, "90 to 95"),
        (89.99, "below 90"),
        (0, "below 90"),
    ],
)
def test_bands(percent: float, word: str) -> None:
    assert history_chart.band(percent).word == word


def test_the_page_shows_tables_bursts_changes_and_a_cell(fleet: None, reader: Any) -> None:
    shown = text_of(reader, f"/history/?window=30d&name=east&day={ago(6).date()}").replace("\N{NO-BREAK SPACE}", " ")
    for words in (
        "Xid 79",
        "GPU has fallen off the bus",
        "Driver 570 → 580",
        "3 nodes",
        "6 h",
        "Least ready nodes",
        "bad",
        "4 nodes, the least ready first",
        "Fatal xid",
    ):
        assert words in shown, words
    none = text_of(reader, "/history/?kind=taints")
    assert "No change of this kind" in none
    assert none.count("Driver 570 → 580") == shown.count("Driver 570 → 580") - 1, "the chart shows every kind"
    west = text_of(reader, "/history/?cluster=west&by=product").replace("\N{NO-BREAK SPACE}", " ")
    assert "NVIDIA-L40S" in west
    assert "H100" not in west


def test_without_history_the_page_says_so(reader: Any) -> None:
    assert "No history yet" in text_of(reader, "/history/")
    a_cluster("east")
    assert "No history yet" in text_of(reader, "/history/")


def test_a_cluster_that_cannot_be_read_is_named(fleet: None, reader: Any) -> None:
    a_cluster("north", read_at=NOW - timedelta(hours=2), failing_since=NOW - timedelta(hours=2))
    assert "north unreachable since" in text_of(reader, "/history/")


@pytest.mark.parametrize(
    "query", ["window=3d", "by=colour", "cluster=nowhere", "kind=x", "day=x&name=y", "day=2026-01-01&name=nobody", "page=999"]
)
def test_an_odd_address_is_no_error(fleet: None, reader: Any, query: str) -> None:
    assert reader.get(f"/history/?{query}").status_code == 200


def test_hostile_names_stay_names(reader: Any) -> None:
    bad = '"><img src=x onerror=alert(1)>'
    cluster = a_cluster(bad)
    lived(a_node(cluster=cluster, product=bad), (3, "ready"))
    rollups.rebuild_day(ago(0).date(), NOW)
    rollups.rebuild_day(ago(1).date(), NOW)
    page = reader.get("/history/?by=product").content.decode() + reader.get("/history/").content.decode()
    assert "<img" not in page


def test_the_page_asks_as_often_for_many_nodes(fleet: None, reader: Any, django_assert_max_num_queries: Any) -> None:
    for number in range(10):
        lived(a_node(f"x{number}"), (3, "ready"))
    list(rollups.rebuild(ago(3).date(), NOW))
    with django_assert_max_num_queries(34):
        reader.get("/history/")


@pytest.mark.usefixtures("held_time")
def test_unchanged_it_is_not_sent_again(fleet: None, reader: Any) -> None:
    answer = reader.get("/history/", headers={"HX-Request": "true"})
    assert "<html" not in answer.content.decode()
    assert reader.get("/history/", headers={"HX-Request": "true", "If-None-Match": answer["ETag"]}).status_code == 304


def test_hostile_text_is_no_markup_of_a_chart() -> None:
    """Plotly reads tags and links in hover texts, axis labels and annotations."""
    bad = '<a href="https://evil.example">x</a>&lt;b&gt;'
    cluster = a_cluster("east")
    node = lived(a_node(cluster=cluster, product=bad), (3, "ready"))
    changes = [{"section": "labels", "key": bad, "before": bad, "after": bad}]
    NodeRevision.objects.create(node=node, period=(ago(1.5), None), facts={}, changes=changes)
    rollups.rebuild_day(ago(0).date(), NOW)
    rollups.rebuild_day(ago(1).date(), NOW)
    figure = the_chart(by="product")["figure"]
    texts = [text for text in strings(figure) if "evil" in text]
    assert len(texts) > 2  # hovers of cells, the axis, hovers of changes
    for text in texts:
        assert not re.search(r"<(?!br>)|&", text), text


def strings(value: Any) -> Iterator[str]:
    """Every text of a figure except its templates."""
    if isinstance(value, dict):
        for key, entry in value.items():
            if key != "hovertemplate":
                yield from strings(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from strings(entry)
    elif isinstance(value, str) and not value.startswith(("/", "?")):
        yield value


def test_a_range_of_hours_is_in_the_address_and_ranks_no_node(reader: Any) -> None:
    now = datetime.now(UTC)
    node = a_node("n1", a_cluster(first_read_at=now - timedelta(hours=3)))
    a_verdict_period(node, now - timedelta(hours=3), now - timedelta(hours=1))
    a_verdict_period(node, now - timedelta(hours=1), verdict="not_ready")
    list(rollups.rebuild((now - timedelta(days=1)).date(), now))
    page = text_of(reader, "/history/?window=6h")
    assert re.search(r"66\.\d % of (3 h|2 h 59 min).{0,7} observed was ready", page), page[:600]
    assert "Not observed before" in page
    assert "Least ready nodes" not in page
    assert "Availability, 6 h" in page
    assert "is not a time range" in text_of(reader, "/history/?window=2y")
    custom = text_of(reader, f"/history/?since={(now - timedelta(minutes=30)):%Y-%m-%dT%H:%M}")
    assert "Availability, this range" in custom


def test_a_day_is_shown_in_hours_and_a_cell_leads_to_its_nodes(fleet: None, reader: Any) -> None:
    shown = text_of(reader, "/history/?window=24h").replace("\N{NO-BREAK SPACE}", " ")
    assert "Ready nodes, cluster × hour" in shown
    assert "Ready nodes, cluster × 15 min" in text_of(reader, "/history/?window=6h")
    assert "Ready nodes, cluster × 5 min" in text_of(reader, "/history/?window=1h")
    at = time_range.stamp(ago(5.5))
    window = f"since={time_range.stamp(ago(6))}&until={time_range.stamp(ago(5))}"
    cell = text_of(reader, f"/history/?{window}&name=east&from={at}&for=3600")
    assert "4 nodes, the least ready first" in cell.replace("\N{NO-BREAK SPACE}", " ")
    assert "12:00 to 13:00" in cell
    for odd in ("from=x&for=3600", f"from={at}&for=7", f"from={at}", "day=9999-12-31", "day=0001-01-01"):
        assert reader.get(f"/history/?window=24h&name=east&{odd}").status_code == 200, odd


def test_what_was_not_observed_is_hatched_before_the_first_reading_and_not_on_the_axis(reader: Any) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    began = now - timedelta(minutes=30)
    east = a_cluster("east", first_read_at=began)
    a_verdict_period(a_node("n1", east), began, None, "ready")
    shown = text_of(reader, "/history/?window=24h").replace("\N{NO-BREAK SPACE}", " ")
    assert "Ready nodes, cluster × 5 min" in shown
    assert "Not observed" in shown
    assert "Less than a day was observed: groups are not ranked." in shown
    rows = availability.availability("cluster", now - timedelta(days=1), now, now=now)
    drawn, line = heat.heat_and_line("cluster", began, now, step=timedelta(minutes=5), rows=rows)
    chart = history_chart.history(drawn, line, [], lambda name, at: "#", ranked=False, unobserved=True)
    go.Figure(chart["figure"])
    figure: Any = chart["figure"]
    assert figure["layout"]["xaxis"]["range"][0] == time_axis.stamp(drawn.starts[0] - timedelta(minutes=5))
    (hatched,) = [trace for trace in figure["data"] if trace.get("name") == "Not observed"]
    assert hatched["marker"]["pattern"]["shape"] == "\\"
