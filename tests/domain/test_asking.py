from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fleet.domain import asking
from fleet.domain.asking import FieldError, Limits, NotNow

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_every_step_has_its_words_and_every_state_its_sentence() -> None:
    states = set().union(*asking.STEPS.values())
    for step in asking.STEPS:
        for state in states - asking.STEPS[step]:
            with pytest.raises(NotNow, match=r"^This request .*\. So nobody can .* it now\.$"):
                asking.check_step(step, state)


def test_nothing_leads_out_of_an_ended_request_but_a_comment() -> None:
    for state in asking.OVER:
        assert [step for step, states in asking.STEPS.items() if state in states] == ["comment"]


@pytest.mark.parametrize(
    ("limit", "granted", "wanted", "needs"),
    [(4, 0, 4, False), (4, 1, 4, True), (None, 0, 1, True), (0, 0, 1, True)],
)
def test_what_lies_within_the_limits_needs_no_approval(limit: int | None, granted: int, wanted: int, needs: bool) -> None:
    assert bool(asking.needs_approval(Limits(replicas=limit), granted, wanted)) is needs


def test_a_request_ends_when_it_or_its_class_says() -> None:
    assert asking.ends_at(NOON, 3, Limits(hours=30)) == NOON + timedelta(hours=3)
    assert asking.ends_at(NOON, None, Limits(hours=30)) == NOON + timedelta(hours=30)
    assert asking.ends_at(NOON, None, Limits()) is None


def test_it_warns_a_week_ahead_or_in_the_last_fifth() -> None:
    assert asking.warns_at(NOON, NOON + timedelta(days=90)) == NOON + timedelta(days=83)
    assert asking.warns_at(NOON, NOON + timedelta(days=5)) == NOON + timedelta(days=4)


@pytest.mark.parametrize(("hours", "longest"), [(0, None), (31, 30), (-1, 30)])
def test_durations_nobody_grants_are_refused_with_a_sentence(hours: int, longest: int | None) -> None:
    with pytest.raises(FieldError) as caught:
        asking.check_hours(hours, Limits(hours=longest))
    assert caught.value.field == "hours"
