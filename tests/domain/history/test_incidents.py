from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain.history.incidents import stretches
from fleet.domain.history.intervals import VERDICTS, Span, availability, known, seconds
from tests.days import day_of

DAY = datetime(2026, 11, 23, tzinfo=UTC)
GRACE, FLAP = timedelta(minutes=3), timedelta(minutes=10)


def at(minutes: float) -> datetime:
    return DAY + timedelta(minutes=minutes)


def chain(*values: tuple[float, str], end: float | None = None) -> list[Span]:
    """Spans that touch, by their beginnings in minutes of the day; an empty verdict is an absence."""
    rows: list[Span] = []
    moments = list(values)
    for number, (start, verdict) in enumerate(moments):
        last = number + 1 == len(moments)
        finish = (None if end is None else at(end)) if last else at(moments[number + 1][0])
        if verdict:
            rows.append(Span(at(start), finish, verdict))
    return rows


def test_rungs_that_take_turns_are_one_incident() -> None:
    spans = chain((0, "ready"), (10, "not_ready"), (12, "not_ready"), (15, "ready"))
    (result,) = stretches(spans)
    assert (result.start, result.end, result.repaired_at, result.from_good) == (at(10), at(15), at(15), True)
    assert result.is_incident(at(60), GRACE)
    assert result.is_flap(FLAP)


@pytest.mark.parametrize(
    ("minutes", "incident", "flap"), [(2, False, True), (3, False, True), (4, True, True), (11, True, False)]
)
def test_longer_than_the_grace_is_an_incident_and_soon_back_is_a_flap(minutes: int, incident: bool, flap: bool) -> None:
    (result,) = stretches(chain((0, "ready"), (10, "not_ready"), (10 + minutes, "ready")))
    assert (result.is_incident(at(60), GRACE), result.is_flap(FLAP)) == (incident, flap)


@pytest.mark.parametrize("verdict", ["starting", "unknown", "excluded"])
def test_other_time_out_of_ready_is_no_incident(verdict: str) -> None:
    assert stretches(chain((0, "ready"), (10, verdict), (40, "ready"))) == []


def test_a_reboot_that_repairs_belongs_to_the_repair_and_not_to_the_incident() -> None:
    (result,) = stretches(chain((0, "ready"), (10, "not_ready"), (20, "starting"), (25, "degraded")))
    assert (result.end, result.repaired_at) == (at(20), at(25))


@pytest.mark.parametrize("verdict", ["unknown", "excluded", ""])
def test_an_unobserved_repair_has_no_time(verdict: str) -> None:
    (result,) = stretches(chain((0, "ready"), (10, "not_ready"), (20, verdict), (25, "ready")))
    assert result.repaired_at is None


def test_a_node_that_comes_broken_did_not_leave_ready() -> None:
    (result,) = stretches(chain((0, "not_ready"), (5, "ready")))
    assert not result.is_flap(FLAP)
    (result,) = stretches(chain((0, "unknown"), (2, "not_ready"), (5, "ready")))
    assert not result.is_flap(FLAP)


def test_availability_leaves_unknown_and_excluded_out_of_both_sides() -> None:
    spans = chain(
        (0, "ready"), (60, "degraded"), (90, "not_ready"), (100, "unknown"), (200, "excluded"), (300, "starting"), end=310
    )
    result = seconds(spans, at(0), at(400))
    assert known(result) == 110 * 60
    assert availability(result) == pytest.approx(100 * 90 / 110)
    assert availability(seconds(chain((0, "unknown")), at(0), at(10))) is None


def test_a_verdict_of_a_newer_version_counts_as_unknown() -> None:
    assert seconds(chain((0, "splendid")), at(0), at(1))["unknown"] == 60


def test_a_day_knows_only_what_has_passed() -> None:
    day = day_of(chain((-30, "ready"), (60, "not_ready")), DAY.date(), at(62), GRACE, FLAP)
    assert (day.incidents, day.seconds["not_ready"]) == (0, 120)
    day = day_of(chain((-30, "ready"), (60, "not_ready")), DAY.date(), at(64), GRACE, FLAP)
    assert (day.incidents, day.down_s, day.first_bad_at) == (1, 240, at(60))


def test_an_incident_counts_on_the_day_it_begins_and_its_repair_on_the_day_it_ends() -> None:
    spans = chain((-120, "ready"), (-60, "not_ready"), (30, "ready"))
    before = day_of(spans, date(2026, 11, 22), at(600), GRACE, FLAP)
    after = day_of(spans, date(2026, 11, 23), at(600), GRACE, FLAP)
    assert (before.incidents, before.down_s, before.repaired, before.repair_s) == (1, 3600, 0, 0)
    assert (after.incidents, after.down_s, after.repaired, after.repair_s) == (0, 1800, 1, 5400)


lives = st.lists(
    st.tuples(st.integers(1, 4000), st.sampled_from([*VERDICTS, ""]), st.integers(0, 999_999)), min_size=1, max_size=12
)


@pytest.mark.slow
@given(lives, st.integers(-3000, 3000), st.integers(1, 4000))
def test_seconds_add_up_however_a_stretch_is_cut(life: list[tuple[int, str, int]], start: int, length: int) -> None:
    spans = lived(life)
    since, until = at(start), at(start + length)
    middle = at(start + length // 2)
    whole, first, second = (seconds(spans, *window) for window in ((since, until), (since, middle), (middle, until)))
    assert whole == {verdict: first[verdict] + second[verdict] for verdict in VERDICTS}
    assert sum(whole.values()) <= length * 60


def lived(life: list[tuple[int, str, int]], start: int = -5000) -> list[Span]:
    """A node's life from lengths in minutes; odd microseconds are part of it, and an empty verdict is an absence."""
    spans, moment = [], at(start)
    for number, (length, verdict, odd) in enumerate(life):
        end = moment + timedelta(minutes=length, microseconds=odd)
        if verdict:
            spans.append(Span(moment, None if number + 1 == len(life) else end, verdict))
        moment = end
    return spans
