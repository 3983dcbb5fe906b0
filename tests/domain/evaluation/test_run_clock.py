"""For how long the answers of a run's clock hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fleet.domain.evaluation.run_clock import RunClock

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize("limit", [timedelta(seconds=-30), timedelta(), timedelta(minutes=5)])
@pytest.mark.parametrize("age", [-31, -30, -29, -1, 0, 1, 299, 300, 301])
def test_the_clock_says_for_how_long_its_answers_hold(limit: timedelta, age: int) -> None:
    at = NOW - timedelta(seconds=age)

    def answers(seconds: int) -> tuple[bool, bool, timedelta | None]:
        clock = RunClock(NOW + timedelta(seconds=seconds))
        return clock.is_past(at, limit), clock.has_reached(at, limit), clock.holds_for

    *first, holds_for = answers(0)
    differing = [seconds for seconds in range(1, 700) if list(answers(seconds)[:2]) != first]
    end = None if holds_for is None else holds_for.total_seconds()
    assert (end is None) == (not differing), "answers that change have an end"
    assert end is None or end in (differing[0], differing[0] - 1)


def test_whole_days_hold_until_the_next() -> None:
    clock = RunClock(NOW)
    assert clock.whole_days(NOW - timedelta(days=2, hours=23)) == 2
    assert clock.holds_for == timedelta(hours=1)


def test_who_reads_the_moment_gets_an_answer_for_one_run() -> None:
    clock = RunClock(NOW)
    assert clock.now() == NOW
    assert not clock.is_past(NOW, timedelta(hours=1))
    assert clock.holds_for == timedelta()
