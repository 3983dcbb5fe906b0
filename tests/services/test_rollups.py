"""The figures that the database makes of many nodes are those that domain/history makes of one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.domain.history.intervals import VERDICTS, Span
from fleet.models import Cluster, FleetDay, GpuHour, Node, NodeDay, Pool, PoolMembership, VerdictPeriod
from fleet.services import rollups
from tests.days import Day, day_of
from tests.factories import a_cluster, a_node

pytestmark = pytest.mark.django_db
TODAY = date(2026, 11, 23)
MIDNIGHT = datetime.combine(TODAY, time(), UTC)


def at(minutes: float) -> datetime:
    return MIDNIGHT + timedelta(minutes=minutes)


def keep(node: Node, spans: Sequence[Span], usable: int = 8) -> None:
    VerdictPeriod.objects.bulk_create(
        VerdictPeriod(node=node, period=(span.start, span.end), verdict=span.verdict, usable=usable, expected=8) for span in spans
    )


def kept(node: Node, day: date) -> Day | None:
    row = NodeDay.objects.filter(node=node, day=day).first()
    if row is None:
        return None
    return Day(
        seconds={verdict: getattr(row, f"{verdict}_s") for verdict in VERDICTS},
        **{name: getattr(row, name) for name in ("incidents", "flaps", "down_s", "first_bad_at", "repaired", "repair_s")},
    )


def expected_day(spans: Sequence[Span], day: date, now: datetime) -> Day | None:
    result = day_of(spans, day, now, django_settings.INCIDENT_GRACE, django_settings.FLAP_WITHIN)
    since = datetime.combine(day, time(), UTC)
    touched = any(span.start < min(since + timedelta(days=1), now) and (span.end is None or span.end > since) for span in spans)
    return result if touched else None


minutes = st.one_of(st.integers(1, 12), st.integers(1, 2500))
lives = st.lists(
    st.lists(
        st.tuples(minutes, st.sampled_from([*VERDICTS, "not_ready", "starting", ""]), st.integers(0, 999_999)),
        min_size=1,
        max_size=10,
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lives=lives, began=st.integers(-4000, 200), now=st.integers(0, 2000))
def test_many_nodes_at_once_have_the_figures_of_each_alone(db: None, lives: list[Any], began: int, now: int) -> None:
    NodeDay.objects.all().delete()
    Node.objects.all().delete()
    cluster = a_cluster(taken_at=None) if not Cluster.objects.exists() else Cluster.objects.get()
    moment = at(now)
    stories = {}
    for life in lives:
        spans, start = [], at(began)
        for number, (length, verdict, odd) in enumerate(life):
            end = start + timedelta(minutes=length, microseconds=odd)
            if verdict and start < moment:
                spans.append(Span(start, None if number + 1 == len(life) or end > moment else end, verdict))
            start = end
        node = a_node(cluster=cluster, product=("H100", "H200")[len(stories) % 2])
        keep(node, spans)
        stories[node] = spans
    for day in (TODAY - timedelta(days=1), TODAY):
        for _ in range(2):  # twice over is the same
            rollups.rebuild_day(day, moment)
        for node, spans in stories.items():
            assert kept(node, day) == expected_day(spans, day, moment)
        assert groups(day) == sums_of_nodes(day)


FIGURES = (*(f"{verdict}_s" for verdict in VERDICTS), "incidents", "flaps", "down_s", "repaired", "repair_s")


def groups(day: date) -> dict[tuple[Any, ...], dict[str, Any]]:
    rows = FleetDay.objects.filter(day=day)
    return {
        (row.cluster_id, row.product, row.machine_type, row.pool): {
            "nodes": row.nodes, "first_bad_at": row.first_bad_at, **{name: getattr(row, name) for name in FIGURES},
        }
        for row in rows
    }  # fmt: skip


def sums_of_nodes(day: date) -> dict[tuple[Any, ...], dict[str, Any]]:
    sums: dict[tuple[Any, ...], list[NodeDay]] = {}
    for row in NodeDay.objects.filter(day=day).select_related("node"):
        sums.setdefault((row.cluster_id, row.node.product, row.node.machine_type, row.pool), []).append(row)
    return {
        key: {
            "nodes": len(rows),
            "first_bad_at": min((row.first_bad_at for row in rows if row.first_bad_at), default=None),
            **{name: sum(getattr(row, name) for row in rows) for name in FIGURES},
        }
        for key, rows in sums.items()
    }


def joins(node: Node, slug: str, start: float, end: float | None = None) -> None:
    pool, _ = Pool.objects.get_or_create(slug=slug, defaults={"created_at": at(0), "updated_at": at(0)})
    PoolMembership.objects.create(pool=pool, node=node, period=(at(start), None if end is None else at(end)))


@pytest.mark.parametrize(
    ("memberships", "pool"),
    [
        ([], ""),
        ([("a", -600, None)], "a"),
        ([("a", 0, 700), ("b", 700, None)], "b"),
        ([("a", 0, 730), ("b", 730, None)], "a"),
        ([("a", 0, 300), ("b", 300, 900), ("a", 900, None)], "a"),  # twice, and longer taken together
        ([("a", 1000, None)], ""),  # for the most of the day it was in none
        ([("a", 700, None)], "a"),
        ([("b", 0, None), ("a", 0, None)], "a"),  # in two all day: the first by name
        ([("a", -900, -1)], ""),
    ],
)
def test_a_days_pool_is_the_one_a_node_was_in_for_the_most_of_it(memberships: list[Any], pool: str) -> None:
    node = a_node()
    keep(node, [Span(at(-2000), None, "ready")])
    for membership in memberships:
        joins(node, *membership)
    rollups.rebuild_day(TODAY, at(1440))
    assert NodeDay.objects.get().pool == pool
    assert FleetDay.objects.get().pool == pool


def test_time_before_a_node_was_there_counts_for_no_pool() -> None:
    node = a_node()
    keep(node, [Span(at(1200), None, "ready")])
    joins(node, "a", 1210)
    rollups.rebuild_day(TODAY, at(1440))
    assert NodeDay.objects.get().pool == "a"


def test_a_pool_that_changes_its_mind_changes_the_day() -> None:
    node = a_node()
    keep(node, [Span(at(0), None, "ready")])
    joins(node, "a", 0)
    rollups.rebuild_day(TODAY, at(60))
    PoolMembership.objects.all().delete()
    joins(node, "b", 0)
    rollups.rebuild_day(TODAY, at(60))
    assert [row.pool for row in NodeDay.objects.all()] == ["b"]
    assert [row.pool for row in FleetDay.objects.all()] == ["b"]


def test_what_is_no_longer_so_leaves_the_day() -> None:
    node = a_node()
    keep(node, [Span(at(0), None, "ready")])
    rollups.rebuild_day(TODAY, at(60))
    assert NodeDay.objects.get().ready_s == 3600
    VerdictPeriod.objects.all().delete()
    rollups.rebuild_day(TODAY, at(60))
    assert not NodeDay.objects.exists()
    assert not FleetDay.objects.exists()
    assert not GpuHour.objects.exists()


def test_a_refresh_goes_on_from_the_last_day_that_was_rebuilt() -> None:
    keep(a_node(), [Span(at(-5 * 1440), None, "ready")])
    assert len(rollups.refresh(at(60))) == 6
    assert rollups.refresh(at(120)) == [TODAY - timedelta(days=1), TODAY]
    NodeDay.objects.filter(day__gt=TODAY - timedelta(days=3)).delete()
    assert rollups.refresh(at(180))[0] == TODAY - timedelta(days=3)
    assert sorted(NodeDay.objects.values_list("ready_s", flat=True)) == [3 * 3600, *[86_400] * 5]


def test_the_command_rebuilds_every_day_from_the_first_there_is(
    capsys: pytest.CaptureFixture[str], settings: Any, tmp_path: Path
) -> None:
    settings.MUSTER_HOME = tmp_path  # another folder than the tests' own: the command must not take their database for its own
    keep(a_node(), [Span(datetime.now(UTC) - timedelta(days=3), None, "ready")])
    call_command("rebuild_days")
    assert capsys.readouterr().out == "4 days rebuilt.\n"
    call_command("rebuild_days", since=(datetime.now(UTC) - timedelta(days=1)).date().isoformat())
    assert NodeDay.objects.count() == 4
    with pytest.raises(CommandError, match="2026-11-01"):
        call_command("rebuild_days", since="soon")


def test_without_history_there_is_nothing_to_refresh() -> None:
    assert rollups.refresh(at(0)) == []
    assert list(rollups.rebuild(date.min, at(0))) == []


def test_hours_have_usable_expected_unknown_and_excluded_gpus() -> None:
    keep(a_node(), [Span(at(0), at(90), "ready"), Span(at(90), None, "unknown")])
    keep(a_node(), [Span(at(0), at(30), "excluded"), Span(at(30), None, "degraded")], usable=6)
    rollups.rebuild_day(TODAY, at(150))
    cards = {
        row.hour: [round(seconds / 60) for seconds in (row.expected_s, row.usable_s, row.unknown_s, row.excluded_s)]
        for row in GpuHour.objects.all()
    }
    assert cards == {
        at(0): [16 * 60, 8 * 60 + 6 * 30, 0, 8 * 30],
        at(60): [16 * 60, 8 * 30 + 6 * 60, 8 * 30, 0],
        at(120): [16 * 30, 6 * 30, 8 * 30, 0],
    }


def test_an_incident_that_began_long_ago_counts_whole_when_it_is_repaired() -> None:
    spans = [
        Span(at(-20_000), at(-10_000), "not_ready"),
        Span(at(-10_000), at(-5000), "not_ready"),
        Span(at(-5000), at(30), "starting"),
        Span(at(30), None, "ready"),
    ]
    node = a_node()
    keep(node, spans)
    rollups.rebuild_day(TODAY, at(600))
    row = NodeDay.objects.get()
    assert (row.incidents, row.repaired, row.repair_s) == (0, 1, 20_030 * 60)
