from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fleet.domain.access_requests import workflow
from fleet.domain.access_requests.workflow import Limits, RequestedAccess
from fleet.domain.refusals import FieldError, NotNow

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_every_step_has_its_words_and_every_state_its_sentence() -> None:
    states = set().union(*workflow.STEPS.values())
    for step in workflow.STEPS:
        for state in states - workflow.STEPS[step]:
            with pytest.raises(NotNow, match=r"^This request .* and cannot be .*\.$"):
                workflow.check_step(step, state)


def test_nothing_leads_out_of_an_ended_request_but_a_comment() -> None:
    for state in workflow.OVER:
        assert [step for step, states in workflow.STEPS.items() if state in states] == ["comment"]


@pytest.mark.parametrize(
    ("limit", "granted", "wanted", "needs"),
    [(4, 0, 4, False), (4, 1, 4, True), (None, 0, 1, True), (0, 0, 1, True)],
)
def test_what_lies_within_the_limits_needs_no_approval(limit: int | None, granted: int, wanted: int, needs: bool) -> None:
    assert bool(workflow.needs_approval(Limits(replicas=limit), granted, wanted)) is needs


def test_a_request_ends_when_it_or_its_class_says() -> None:
    assert workflow.ends_at(NOON, 3, Limits(hours=30)) == NOON + timedelta(hours=3)
    assert workflow.ends_at(NOON, None, Limits(hours=30)) == NOON + timedelta(hours=30)
    assert workflow.ends_at(NOON, None, Limits()) is None


def test_it_warns_a_week_ahead_or_in_the_last_fifth() -> None:
    assert workflow.warns_at(NOON, NOON + timedelta(days=90)) == NOON + timedelta(days=83)
    assert workflow.warns_at(NOON, NOON + timedelta(days=5)) == NOON + timedelta(days=4)


@pytest.mark.parametrize(("hours", "longest"), [(0, None), (31, 30), (-1, 30)])
def test_durations_beyond_the_limit_are_refused_with_a_sentence(hours: int, longest: int | None) -> None:
    with pytest.raises(FieldError) as caught:
        workflow.check_hours(hours, Limits(hours=longest))
    assert caught.value.field == "hours"


@pytest.mark.parametrize(("hours", "longest"), [(None, 30), (1, None), (30, 30), (31, None), (workflow.LONGEST_HOURS, None)])
def test_durations_up_to_the_longest_of_the_class_are_granted(hours: int | None, longest: int | None) -> None:
    workflow.check_hours(hours, Limits(hours=longest))


def test_replicas_are_1_to_10_000() -> None:
    for replicas in (1, 10_000):
        workflow.check_size(replicas)
    for replicas in (0, 10_001):
        with pytest.raises(FieldError, match="1 to 10,000"):
            workflow.check_size(replicas)


def test_slots_per_replica_are_those_of_the_class_or_not_chosen() -> None:
    for gpus in (None, 1, 8):
        workflow.check_gpus(gpus, (1, 8))
    with pytest.raises(FieldError, match="This class has 1, 8 slots per replica"):
        workflow.check_gpus(4, (1, 8))


def test_a_request_without_problems_has_none_and_every_wrong_field_has_one() -> None:
    good = RequestedAccess(namespace="ml", name="train", replicas=1)
    assert workflow.problems(good, Limits(), "research", ["ml"], (1,)) == ()
    wrong = RequestedAccess(namespace="web", name="Not a name", replicas=0, hours=0, gpus=3)
    fields = [field for field, _ in workflow.problems(wrong, Limits(), "research", ["ml"], (1,))]
    assert fields == ["gpus", "replicas", "namespace", "name", "hours"]


@pytest.mark.parametrize(
    ("namespace", "namespaces", "sentence"),
    [
        ("", ("a", "b"), "Choose a namespace of Research. Namespaces of the team: a, b."),
        ("c", ("a",), "c is not a namespace of Research. Namespaces of the team: a."),
        ("c", (), "c is not a namespace of Research. Namespaces of the team: none."),
    ],
)
def test_a_namespace_of_another_team_is_refused_with_the_teams_own(
    namespace: str, namespaces: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(FieldError) as caught:
        workflow.check_place(namespace, "Research", namespaces)
    assert (caught.value.field, str(caught.value)) == ("namespace", sentence)


def test_only_what_is_wrong_is_a_problem() -> None:
    requested = RequestedAccess(replicas=1, hours=None, gpus=None, namespace="a", name="serve", image="")
    assert workflow.problems(requested, Limits(), "Research", ("a",), (1, 2)) == ()
    strange = RequestedAccess(replicas=0, hours=None, gpus=3, namespace="a", name="Serve!", image="not an image")
    fields = [field for field, _ in workflow.problems(strange, Limits(), "Research", ("a",), (1, 2))]
    assert fields == ["gpus", "replicas", "name", "image"]
