"""Periods of nodes that could not be read: unknown from the moment the last verdict was too old, by every writer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection

from fleet.domain.history.staleness import is_silence
from fleet.models import Cluster, Node, VerdictPeriod
from fleet.services import clock, snapshot_collection, staleness
from tests.services.period_runs import BROKEN, minute, rungs, spans

pytestmark = pytest.mark.django_db


def test_what_was_not_read_for_too_long_is_unknown_from_the_moment_it_stopped_being_believed(see: Any) -> None:
    see(0, n1="ready")
    see(60, n1="ready")
    assert spans() == [(0, 15, "ready"), (15, 60, "unknown"), (60, None, "ready")]
    assert rungs() == [(0, 15, "pass"), (15, 60, "unknown"), (60, None, "pass")]
    reason = VerdictPeriod.objects.get(verdict="unknown").reason
    assert reason == "Muster read nothing of this cluster for more than 15 minutes after 2026-11-23 12:00:00 UTC."
    assert Node.objects.get().verdict_since == minute(60)


@pytest.mark.parametrize("gap", [14.99, 15])
def test_up_to_the_limit_nothing_turns(see: Any, gap: float) -> None:
    see(0, n1="ready")
    see(gap, n1="ready")
    assert spans() == [(0, None, "ready")]


def test_a_node_removed_between_runs_is_unknown_until_the_next_run(see: Any) -> None:
    see(0, n1="ready", n2="ready")
    see(60, n2="ready")
    assert spans() == [(0, 15, "ready"), (15, 60, "unknown")]


def the_sweep(see: Any) -> None:
    assert staleness.sweep(minute(16)) == ["east"]


def failing_passes(see: Any) -> None:
    for number in range(1, 20):
        see(number, broken=BROKEN, n1="ready")


def failing_passes_and_the_sweep(see: Any) -> None:
    see(3, broken=BROKEN, n1="ready")
    assert staleness.sweep(minute(15)) == ["east"]
    see(17, broken=BROKEN, n1="ready")
    assert staleness.sweep(minute(18)) == []


def no_writer(see: Any) -> None:
    pass


@pytest.mark.parametrize("writer", [the_sweep, failing_passes, failing_passes_and_the_sweep, no_writer])
def test_every_writer_writes_the_same_history(see: Any, writer: Any) -> None:
    see(0, n1="ready")
    writer(see)
    see(60, n1=("degraded", "cuda_works"))
    assert spans() == [(0, 15, "ready"), (15, 60, "unknown"), (60, None, "degraded")]
    assert rungs() == [(0, 15, "pass"), (15, 60, "unknown"), (60, None, "fail")]
    assert is_silence(VerdictPeriod.objects.get(verdict="unknown").reason)


def test_the_nodes_row_turns_with_its_period(see: Any) -> None:
    see(0, n1="ready")
    staleness.sweep(minute(15))
    node, period = Node.objects.get(), VerdictPeriod.objects.get(period__endswith__isnull=True)
    assert (node.verdict, node.verdict_since, node.verdict_reason) == ("unknown", minute(15), period.reason)
    assert [rung["status"] for rung in node.rungs] == ["unknown"]
    assert (node.usable, node.reached) == (0, -1)
    see(16, n1="ready")
    node.refresh_from_db()
    assert (node.verdict, node.verdict_since, node.usable) == ("ready", minute(16), 8)
    assert [rung["status"] for rung in node.rungs] == ["pass"]


def test_unknown_by_silence_is_another_period_than_unknown_by_the_ladder(see: Any) -> None:
    see(0, n1="unknown")
    staleness.sweep(minute(20))
    see(21, n1="unknown")
    assert spans() == [(0, 15, "unknown"), (15, 21, "unknown"), (21, None, "unknown")]


def test_a_verdict_that_began_after_it_stopped_being_believed_is_not_believed_either(see: Any, settings: Any) -> None:
    see(0, n1="ready")
    see(10, broken=BROKEN, n1=("not_ready", "cuda_works"))
    settings.STALE_AFTER = timedelta(minutes=5)
    assert staleness.sweep(minute(11)) == ["east"]
    assert [verdict for *_, verdict in spans()] == ["ready", "unknown"]


def test_the_sweep_lets_a_pass_that_goes_on_speak(see: Any, east: Cluster) -> None:
    see(0, n1="ready")
    before = Cluster.objects.get().changes
    with _other_session(east.pk):
        assert staleness.sweep(minute(20)) == []
    assert staleness.sweep(minute(14)) == []
    assert staleness.sweep(minute(20)) == ["east"]
    assert staleness.sweep(minute(21)) == []
    assert Cluster.objects.get().changes > before, "pages must notice"


@contextmanager
def _other_session(cluster_id: int) -> Iterator[None]:
    """The cluster's lock, held by another process."""
    with psycopg.connect(**connection.get_connection_params()) as other:  # type: ignore[attr-defined]
        other.execute("SELECT pg_advisory_lock(7001, %s)", [cluster_id])
        yield


def test_a_pass_that_began_before_the_silence_is_not_recorded_after_it(see: Any) -> None:
    see(0, n1="ready")
    staleness.sweep(minute(15.1))
    assert see(14.9, n1="degraded") is None
    assert spans() == [(0, 15, "ready"), (15, None, "unknown")]


def test_a_worker_that_dies_leaves_no_trace(see: Any) -> None:
    see(0, n1="ready")
    with pytest.raises(RuntimeError):
        see(20, die=True, n1="not_ready")
    assert spans() == [(0, None, "ready")]
    assert Node.objects.get().verdict == "ready"


def test_a_clock_that_was_set_back_goes_on_after_what_was_recorded(east: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    Cluster.objects.update(taken_at=minute(10))
    east.refresh_from_db()
    monkeypatch.setattr(clock.timezone, "now", lambda: minute(3))
    assert snapshot_collection.clock_of(east)() == minute(10) + timedelta(milliseconds=1)
    monkeypatch.setattr(clock.timezone, "now", lambda: minute(11))
    assert snapshot_collection.clock_of(east)() == minute(11)
