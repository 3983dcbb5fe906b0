"""Verdict and rung periods over whatever may happen: passes, gaps, failed reads, crashes, removals, returns, older passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from fleet.domain.evaluation.evaluate import ClusterEvaluation, evaluate, fingerprint
from fleet.domain.evaluation.subject import ClusterHistory
from fleet.domain.findings import Evidence, Status
from fleet.domain.history.intervals import Span, second, seconds
from fleet.domain.history.staleness import is_silence
from fleet.domain.readiness.types import Readiness, RungResult, Verdict
from fleet.domain.snapshot import ClusterSnapshot, Condition
from fleet.domain.snapshot.sections import Outcome
from fleet.models import Cluster, CollectionRun, Node, RungPeriod, VerdictPeriod
from fleet.services import clock, collection, evaluation_history, snapshot_collection, staleness
from tests.services.snapshots import T0, a_node, a_snapshot

pytestmark = pytest.mark.django_db
STALE = django_settings.STALE_AFTER
Judge = Callable[..., None]


def minute(number: float) -> datetime:
    return T0 + timedelta(minutes=number)


@pytest.fixture
def east() -> Cluster:
    return Cluster.objects.create(name="east")


def readiness(verdict: str, rung: str = "", reason: str = "", status: str = "") -> Readiness:
    """A ladder of one rung that has the verdict's own status."""
    own = Status(status) if status else {"ready": Status.PASS, "unknown": Status.UNKNOWN}.get(verdict, Status.FAIL)
    result = RungResult(id="cuda_works", number=4, status=own, reason=reason, evidence=(Evidence("pod", "validator", verdict),))
    return Readiness(
        rungs=(result,), verdict=Verdict(verdict), broken_rung=rung, reason=reason, usable=8 if verdict == "ready" else 0
    )


@pytest.fixture
def see(east: Cluster, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int | None]:
    """One pass: which node has which verdict; `broken` names sections that could not be read."""

    def run(after_min: float, broken: dict[str, Outcome] | None = None, die: bool = False, **verdicts: Any) -> int | None:
        def evaluating(snapshot: ClusterSnapshot, history: ClusterHistory) -> ClusterEvaluation:
            judged = evaluate(snapshot, history)
            nodes = []
            for node in judged.nodes:
                result = verdicts.get(node.node.name, "ready")
                result = readiness(*result) if isinstance(result, tuple) else readiness(result)
                if history.silent_since:
                    result = readiness("unknown", reason="The ladder says so too.")
                # of the real ladder nothing may stay, its memory least of all: it would readiness from a rung it never proved
                figures = structs.replace(
                    node.figures, verdict=result.verdict, broken_rung=result.broken_rung, usable=result.usable
                )
                mark = fingerprint(node.facts, result, figures)
                nodes.append(structs.replace(node, readiness=result, figures=figures, pending={}, fingerprint=mark))
            return structs.replace(judged, nodes=tuple(nodes))

        monkeypatch.setattr(collection, "evaluate", evaluating)
        seen = [a_node(name) for name in verdicts] if not broken or broken.get("nodes") is Outcome.INCOMPLETE else []
        snapshot = a_snapshot(*seen, after_s=60 * after_min, broken=broken)
        east.refresh_from_db()
        pass_ = CollectionRun(cluster=east, started_at=snapshot.taken_at)
        with monkeypatch.context() as patch:
            if die:
                patch.setattr(collection.recording, "record_reading", _die)
            collection.absorb(east, snapshot, pass_)
        return pass_.changes

    return run


def _die(*_: Any) -> None:
    raise RuntimeError("The worker died.")


def spans(name: str = "n1") -> list[tuple[float, float | None, str]]:
    """(from minute, to minute, verdict) of every period, oldest first."""
    rows = VerdictPeriod.objects.filter(node__name=name).order_by("period")
    return [(_minutes(row.period.lower), _minutes(row.period.upper), row.verdict) for row in rows]


def rungs(name: str = "n1") -> list[tuple[float, float | None, str]]:
    rows = RungPeriod.objects.filter(node__name=name).order_by("period")
    return [(_minutes(row.period.lower), _minutes(row.period.upper), row.status) for row in rows]


def _minutes(at: datetime | None) -> Any:
    return None if at is None else (at - T0).total_seconds() / 60


BROKEN = {"nodes": Outcome.TIMEOUT}


def test_a_verdict_that_changes_ends_its_period_where_the_next_begins(see: Any) -> None:
    see(0, n1="ready")
    see(1, n1="ready")
    see(2, n1=("not_ready", "cuda_works"))
    see(3, n1="ready")
    assert spans() == [(0, 2, "ready"), (2, 3, "not_ready"), (3, None, "ready")]
    assert rungs() == [(0, 2, "pass"), (2, 3, "fail"), (3, None, "pass")]


def test_a_node_that_comes_up_rung_by_rung_does_not_flap(see: Any, east: Cluster) -> None:
    """Each rung is a period of its own; the verdict changed once."""
    for minute_, rung in enumerate(("driver_loaded", "container_runtime", "cuda_works", "resources_advertised")):
        see(minute_, n1=("starting", rung))
    see(4, n1="ready")
    see(5, n1="not_ready")
    assert len(spans()) == 6
    east.refresh_from_db()
    uid = Node.objects.get().uid
    assert evaluation_history.load_history(east, a_snapshot(after_s=360)).of(uid).recent_changes == 2
    assert evaluation_history.load_history(east, a_snapshot(after_s=65 * 60)).of(uid).recent_changes == 0


def test_another_rung_is_another_period_and_another_reason_is_not(see: Any) -> None:
    see(0, n1=("not_ready", "driver_loaded", "It fails."))
    see(1, n1=("not_ready", "driver_loaded", "It fails differently."))
    see(2, n1=("not_ready", "cuda_works", "It fails."))
    assert spans() == [(0, 2, "not_ready"), (2, None, "not_ready")]
    assert VerdictPeriod.objects.order_by("period").first().reason == "It fails differently."  # type: ignore[union-attr]
    assert rungs() == [(0, None, "fail")]
    assert RungPeriod.objects.get().reason == "It fails."


def test_unchanged_nodes_cost_nothing_and_many_changes_few_statements(see: Any) -> None:
    result = {f"n{number}": "ready" for number in range(12)}
    see(0, **result)
    with CaptureQueriesContext(connection) as quiet:
        assert see(1, **result) == 0
    assert not [q["sql"] for q in quiet if "period" in q["sql"] and q["sql"].startswith(("UPDATE", "INSERT"))]
    with CaptureQueriesContext(connection) as value:
        see(2, **{**result, "n0": "not_ready"})
    with CaptureQueriesContext(connection) as many:
        see(3, **dict.fromkeys(result, "not_ready"))
    assert len(many) == len(value), "the number of statements does not grow with the nodes"


def test_a_removed_node_ends_and_a_returning_one_begins_again(see: Any) -> None:
    see(0, n1="ready", n2="ready")
    see(1, n2="ready")
    see(5, n1="ready", n2="ready")
    assert spans() == [(0, 1, "ready"), (5, None, "ready")]
    assert rungs() == [(0, 1, "pass"), (5, None, "pass")]
    assert spans("n2") == [(0, None, "ready")]


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


# --- bootstrap ----------------------------------------------------------------------------------------------------


def joins(see: Any, monkeypatch: pytest.MonkeyPatch, after_min: float, ready_at: float, verdict: str) -> None:
    condition = Condition(type="Ready", status="True", last_transition_at=minute(ready_at))
    monkeypatch.setitem(globals(), "a_node", lambda name: a_node_with(name, conditions=(condition,)))
    see(after_min, n1="ready", n2=verdict)


a_node_with = a_node


def test_bootstrap_runs_from_kubelet_ready_to_the_first_good_verdict(see: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    see(0, n1="ready")
    joins(see, monkeypatch, 5, 4.5, "starting")
    joins(see, monkeypatch, 6, 4.5, "not_ready")
    joins(see, monkeypatch, 9, 4.5, "ready")
    joins(see, monkeypatch, 10, 9.5, "not_ready")
    joins(see, monkeypatch, 11, 9.5, "ready")
    node = Node.objects.get(name="n2")
    assert (node.kubelet_ready_at, node.gpu_ready_at) == (minute(4.5), minute(9))


def test_an_unobserved_join_has_no_bootstrap_time(see: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    see(0, n1="ready")
    joins(see, monkeypatch, 60, 30, "ready")
    assert list(Node.objects.values_list("kubelet_ready_at", "gpu_ready_at")) == [(None, None)] * 2


# --- whatever happens ---------------------------------------------------------------------------------------------


@dataclass
class Truth:
    """What an honest observer would say, second by second, from the passes that count."""

    passes: list[tuple[datetime, bool, dict[str, str]]] = field(default_factory=list)
    """When, whether the nodes were read, and the verdict of each node that was there."""
    silences: list[datetime] = field(default_factory=list)

    def newest(self) -> datetime | None:
        return max([at for at, *_ in self.passes] + self.silences, default=None)

    def life(self, name: str) -> list[tuple[datetime, datetime | None]]:
        """From when to when the node was there."""
        rows: list[tuple[datetime, datetime | None]] = []
        for at, read, verdicts in self.passes:
            there = bool(rows) and rows[-1][1] is None
            if read and name in verdicts and not there:
                rows.append((at, None))
            elif read and name not in verdicts and there:
                rows[-1] = (rows[-1][0], at)
        return rows

    def verdict(self, name: str, at: datetime, known: datetime) -> str:
        """Returns the newest event at a moment in its life, from `known`."""
        read_at = max(moment for moment, read, _ in self.passes if read and moment <= at)
        if at >= read_at + STALE and known >= read_at + STALE:
            return "silent"
        return next(verdicts[name] for moment, _, verdicts in reversed(self.passes) if moment <= at and name in verdicts)


verdicts = st.sampled_from(["ready", "degraded", "not_ready", "starting", "unknown", "excluded"])
fleets = st.dictionaries(st.sampled_from(["n1", "n2"]), verdicts, max_size=2)
gaps = st.sampled_from([0.5, 1, 1, 5, 14.5, 15, 15.5, 40])
events = st.lists(
    st.tuples(st.sampled_from(["pass", "pass", "pass", "failed", "sweep", "older", "again", "crash"]), gaps, fleets),
    min_size=1,
    max_size=10,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=events)
def test_whatever_happens_the_periods_are_the_truth(see: Any, events: list[Any]) -> None:
    Node.objects.all().delete()
    Cluster.objects.update(taken_at=None, read_at=None, first_read_at=None, section_read_at={})
    truth, now = Truth(), T0
    last: tuple[datetime, dict[str, str]] | None = None
    for what, gap, fleet in events:
        at = now + timedelta(minutes=gap)
        after = _minutes(at)
        present = {name for name in ("n1", "n2") if (life := truth.life(name)) and life[-1][1] is None}
        if what == "pass":
            see(after, **fleet)
            truth.passes.append((at, True, fleet))
            last = (at, fleet)
        elif what == "failed":
            fields = {name: fleet.get(name, "ready") for name in present}
            see(after, broken=BROKEN, **fields)
            if last is not None:
                truth.passes.append((at, False, fields))
        elif what == "sweep":
            staleness.sweep(at)
            if present and last is not None and at >= last[0] + STALE:
                truth.silences.append(at)
        elif what == "older" and (newest := Cluster.objects.get().taken_at):
            assert see(_minutes(newest) - 0.25, **fleet) is None
        elif what == "again" and last is not None:
            assert see(_minutes(last[0]), **last[1]) is None
        elif what == "crash":
            with pytest.raises(RuntimeError):
                see(after, die=True, **fleet)
        now = at if what not in ("older", "again") else now
        _check(truth)


def _check(truth: Truth) -> None:
    known = truth.newest()
    for name in ("n1", "n2"):
        life = truth.life(name)
        rows = list(VerdictPeriod.objects.filter(node__name=name).order_by("period"))
        rung_rows = list(RungPeriod.objects.filter(node__name=name).order_by("period"))
        for kept in (rows, rung_rows):
            assert _joined([(row.period.lower, row.period.upper) for row in kept]) == life, "no gap while there, none while not"
        assert known is not None or not rows
        for row in rows:
            verdict = "silent" if is_silence(row.reason) else row.verdict
            inside = [
                at for at, *_ in truth.passes if row.period.lower <= at and (row.period.upper is None or at < row.period.upper)
            ]
            for at in (
                row.period.lower,
                *inside,
                *([row.period.upper - timedelta(milliseconds=1)] if row.period.upper else [known]),
            ):
                assert verdict == truth.verdict(name, at, known), (name, at)  # type: ignore[arg-type]
        if rows and known:
            spans = [Span(row.period.lower, row.period.upper, row.verdict) for row in rows]
            lived = sum(second(min(end or known, known)) - second(start) for start, end in life if start < known)
            assert sum(seconds(spans, T0, known).values()) == lived
        for node in Node.objects.filter(name=name, removed_at__isnull=True):
            present = rows[-1]
            assert (node.verdict, node.verdict_since, node.verdict_reason) == (
                present.verdict,
                present.since,
                present.reason,
            )


def _joined(periods: list[tuple[datetime, datetime | None]]) -> list[tuple[datetime, datetime | None]]:
    """Periods that touch as one; fails where two overlap."""
    assert all(end is not None and end <= start for (_, end), (start, _) in pairwise(periods))
    rows: list[tuple[datetime, datetime | None]] = []
    for start, end in periods:
        if rows and rows[-1][1] == start:
            rows[-1] = (rows[-1][0], end)
        else:
            rows.append((start, end))
    return rows
