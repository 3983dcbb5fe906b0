"""Gaps between intervals, and changes that precede a worse verdict."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fleet.domain.history.intervals import Span, gaps, precedes_worse


def at_minute(number: int) -> datetime:
    return datetime(2026, 11, 30, 7, number, tzinfo=UTC)


def test_gaps_are_what_no_interval_covers() -> None:
    spans = [Span(at_minute(5), at_minute(10), "ready"), Span(at_minute(20), None, "degraded")]
    assert gaps(spans, at_minute(0), at_minute(30)) == [(at_minute(0), at_minute(5)), (at_minute(10), at_minute(20))]
    assert gaps(spans[:1], at_minute(5), at_minute(30)) == [(at_minute(10), at_minute(30))]
    assert gaps([], at_minute(0), at_minute(1)) == [(at_minute(0), at_minute(1))]
    assert gaps([], at_minute(0), at_minute(0) + timedelta(seconds=1)) == []


@pytest.mark.parametrize(("minute", "result"), [(5, True), (4, False), (20, True), (21, False)])
def test_a_change_precedes_a_worse_verdict_within_a_quarter_of_an_hour(minute: int, result: bool) -> None:
    spans = [Span(at_minute(0), at_minute(20), "ready"), Span(at_minute(20), None, "not_ready")]
    assert precedes_worse(at_minute(minute), spans) is result
