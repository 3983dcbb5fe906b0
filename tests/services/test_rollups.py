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

from fleet.domain.history.days import Day, day_of
from fleet.domain.history.spans import VERDICTS, Span
from fleet.models import Cluster, GpuHour, Node, NodeDay, VerdictPeriod
from fleet.services import rollups
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


def told(spans: Sequence[Span], day: date, now: datetime) -> Day | None:
    found = day_of(spans, day, now, django_settings.INCIDENT_GRACE, django_settings.FLAP_WITHIN)
    since = datetime.combine(day, time(), UTC)
    touched = any(span.start < min(since + timedelta(days=1), now) and (span.end is None or span.end > since) for span in spans)
    return found if touched else None


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


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
        node = a_node(cluster=cluster)
        keep(node, spans)
        stories[node] = spans
    for day in (TODAY - timedelta(days=1), TODAY):
        for _ in range(2):  # twice over is the same
            rollups.rebuild_day(day, moment)
        for node, spans in stories.items():
            assert kept(node, day) == told(spans, day, moment)


def test_what_is_no_longer_so_leaves_the_day() -> None:
    node = a_node()
    keep(node, [Span(at(0), None, "ready")])
    rollups.rebuild_day(TODAY, at(60))
    assert NodeDay.objects.get().ready_s == 3600
    VerdictPeriod.objects.all().delete()
    rollups.rebuild_day(TODAY, at(60))
    assert not NodeDay.objects.exists()
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


def test_hours_tell_cards_usable_expected_unknown_and_excluded() -> None:
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
