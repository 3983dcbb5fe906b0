from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain.history.reportable import BAD, Stood, news

T0 = datetime(2026, 11, 23, 12, tzinfo=UTC)
GRACE = timedelta(seconds=180)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def reported(*parts: tuple[str, float], still: str = "") -> dict[float, str]:
    """Parts of (verdict, seconds it stood), one after the other from T0; `still` stands at the end."""
    stood, clock = [], 0.0
    for verdict, seconds in parts:
        stood.append(Stood(verdict, at(clock), at(clock + seconds)))
        clock += seconds
    if still:
        stood.append(Stood(still, at(clock), None))
    return {(moment - T0).total_seconds(): verdict for moment, verdict in news(stood, GRACE).items()}


@pytest.mark.parametrize(
    ("parts", "still", "expected"),
    [
        ([("ready", 60), ("not_ready", 179)], "ready", {}),
        ([("ready", 60), ("not_ready", 180)], "ready", {}),
        ([("ready", 60), ("not_ready", 181)], "ready", {60: "not_ready"}),
        ([("ready", 60)], "not_ready", {60: "not_ready"}),
        ([], "unknown", {0: "unknown"}),
        ([("ready", 60), ("starting", 900)], "ready", {}),
        ([("ready", 60), ("excluded", 900)], "ready", {}),
        ([("degraded", 900)], "ready", {}),
    ],
)
def test_only_what_outlasts_the_grace_is_news(parts: list[tuple[str, float]], still: str, expected: dict[float, str]) -> None:
    assert reported(*parts, still=still) == expected


def test_another_rung_is_no_other_news() -> None:
    assert reported(("not_ready", 100), ("not_ready", 100), still="ready") == {0: "not_ready"}


def test_turning_from_one_bad_verdict_to_the_other_does_not_hide_either() -> None:
    assert reported(("not_ready", 100), ("unknown", 100), ("not_ready", 100), still="ready") == {0: "unknown"}


def test_the_verdict_at_the_end_of_the_grace_is_notified() -> None:
    assert reported(("unknown", 30), still="not_ready") == {0: "not_ready"}


def test_a_later_bad_verdict_is_news_of_its_own_once_it_lasts() -> None:
    assert reported(("not_ready", 600), ("unknown", 600), still="ready") == {0: "not_ready", 600: "unknown"}
    assert reported(("not_ready", 600), ("unknown", 100), ("not_ready", 600), still="ready") == {0: "not_ready"}


def test_a_boot_between_two_faults_makes_two() -> None:
    assert reported(("not_ready", 600), ("starting", 300), ("not_ready", 600)) == {0: "not_ready", 900: "not_ready"}
    assert reported(("not_ready", 100), ("starting", 300), ("not_ready", 100)) == {}


def test_a_gap_in_the_record_ends_a_run() -> None:
    stood = [Stood("not_ready", at(0), at(100)), Stood("not_ready", at(110), at(200))]
    assert news(stood, GRACE) == {}


VERDICTS = st.sampled_from(["ready", "degraded", "not_ready", "unknown", "starting", "excluded"])


@pytest.mark.slow
@given(st.lists(st.tuples(VERDICTS, st.integers(1, 1000)), max_size=12), st.integers(0, 400))
def test_whatever_happens(parts: list[tuple[str, int]], grace: int) -> None:
    """News begins where a bad period begins, and where nothing is bad for longer than the grace there is none."""
    stood, clock, longest, run = [], 0, 0, 0
    for verdict, seconds in parts:
        stood.append(Stood(verdict, at(clock), at(clock + seconds)))
        clock += seconds
        run = run + seconds if verdict in BAD else 0
        longest = max(longest, run)
    result = news(stood, timedelta(seconds=grace))
    assert set(result) <= {item.began for item in stood if item.verdict in BAD}
    assert bool(result) == (longest > grace)
