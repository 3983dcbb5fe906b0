"""Verdict and rung periods over whatever may happen: runs, gaps, failed reads, crashes, removals, returns, older runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.domain.history.intervals import Span, second, seconds
from fleet.domain.history.staleness import is_silence
from fleet.models import Cluster, Node, RungPeriod, VerdictPeriod
from fleet.services import staleness
from tests.services.period_runs import BROKEN, STALE, minutes
from tests.services.snapshots import T0

pytestmark = pytest.mark.django_db


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
        after = minutes(at)
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
            assert see(minutes(newest) - 0.25, **fleet) is None
        elif what == "again" and last is not None:
            assert see(minutes(last[0]), **last[1]) is None
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
