"""Requests on a real Postgres: every way through, every refusal, and two people at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from fleet.domain.refusals import FieldError, NotNow, NotYours
from fleet.models import AccessRequest, AccessRequestStep, AuditEntry, Notice, Role, User
from fleet.services import access_requests
from tests.factories import NOON, a_class_version, a_team, a_user

pytestmark = pytest.mark.django_db


def an_ask(
    replicas: int = 2, hours: int | None = None, *, by_operator: bool = False, **spec: Any
) -> tuple[AccessRequest, User, User]:
    """A draft of a member's, or of an operator's, with both of them."""
    member, operator = a_user("mia"), a_user("otto", Role.OPERATOR)
    team = a_team("research", member)
    fields = {"namespace": "research", "name": "llama", "replicas": replicas, "hours": hours, "now": NOON}
    asker = operator if by_operator else member
    return access_requests.draft(asker, team, a_class_version(**spec), **fields), member, operator


def test_within_the_limits_it_is_granted_at_once() -> None:
    ask, member, _ = an_ask(2, max_replicas=4, max_hours=720)
    row = access_requests.submit(member, ask.pk, NOON)
    assert (row.state, row.automatic, row.decided_by) == ("approved", True, None)
    assert row.expires_at == NOON + timedelta(days=30)


def test_above_the_limits_an_operator_decides() -> None:
    ask, member, operator = an_ask(5, max_replicas=4)
    assert access_requests.submit(member, ask.pk, NOON).state == "submitted"
    with pytest.raises(NotYours):
        access_requests.approve(member, ask.pk, NOON)
    row = access_requests.approve(operator, ask.pk, NOON + timedelta(hours=1), "Fine for the launch.")
    assert (row.state, row.automatic, row.decided_by) == ("approved", False, operator)
    assert [step.kind for step in AccessRequestStep.objects.filter(request=row)] == ["draft", "submit", "approve"]
    assert AuditEntry.objects.filter(action="request.approve", actor=operator).count() == 1


def test_what_is_granted_already_counts_against_the_limit() -> None:
    ask, member, _ = an_ask(3, max_replicas=4)
    access_requests.submit(member, ask.pk, NOON)
    fields = {"namespace": "research", "name": "more", "replicas": 2, "now": NOON}
    second = access_requests.draft(member, ask.team, ask.class_version, **fields)
    assert access_requests.submit(member, second.pk, NOON).state == "submitted"


def test_strangers_neither_ask_nor_withdraw() -> None:
    ask, _, _ = an_ask()
    stranger = a_user("sam")
    with pytest.raises(NotYours):
        access_requests.withdraw(stranger, ask.pk, NOON)
    with pytest.raises(NotYours):
        access_requests.draft(stranger, ask.team, ask.class_version, namespace="research", name="x", replicas=1, now=NOON)


@pytest.mark.parametrize(
    ("field", "change"),
    [("namespace", {"namespace": "kube-system"}), ("replicas", {"replicas": 0}), ("hours", {"hours": 999})],
)
def test_a_field_that_cannot_be_is_named(field: str, change: dict[str, Any]) -> None:
    ask, member, _ = an_ask(max_hours=720)
    with pytest.raises(FieldError) as caught:
        access_requests.edit(member, ask.pk, NOON, **change)
    assert caught.value.field == field
    ask.refresh_from_db()
    assert (ask.namespace, ask.replicas, ask.hours) == ("research", 2, None)


def test_a_rejection_says_why() -> None:
    ask, member, operator = an_ask()
    access_requests.submit(member, ask.pk, NOON)
    with pytest.raises(FieldError):
        access_requests.reject(operator, ask.pk, NOON, "  ")
    assert access_requests.reject(operator, ask.pk, NOON, "No H100 until March.").state == "rejected"
    with pytest.raises(NotNow, match="was rejected"):
        access_requests.approve(operator, ask.pk, NOON)


def test_an_approval_after_a_withdrawal_is_a_conflict_and_changes_nothing() -> None:
    ask, member, operator = an_ask()
    access_requests.submit(member, ask.pk, NOON)
    access_requests.withdraw(member, ask.pk, NOON)
    with pytest.raises(NotNow, match="was withdrawn"):
        access_requests.approve(operator, ask.pk, NOON)
    ask.refresh_from_db()
    assert (ask.state, ask.decided_at) == ("withdrawn", None)


def test_time_makes_it_expiring_and_then_expired() -> None:
    ask, member, _ = an_ask(hours=240, max_replicas=9)
    access_requests.submit(member, ask.pk, NOON)
    access_requests.mark_active(ask.pk, NOON + timedelta(hours=1))
    access_requests.mark_active(ask.pk, NOON + timedelta(hours=2))
    assert access_requests.pass_time(NOON + timedelta(days=7)) == 0
    assert access_requests.pass_time(NOON + timedelta(days=9)) == 1
    ask.refresh_from_db()
    assert (ask.state, ask.first_pod_at) == ("expiring", NOON + timedelta(hours=1))
    assert access_requests.pass_time(NOON + timedelta(days=12)) == 1
    assert access_requests.pass_time(NOON + timedelta(days=13)) == 0
    ask.refresh_from_db()
    assert (ask.state, ask.ended_at) == ("expired", NOON + timedelta(days=10))


def test_an_extension_waits_for_an_operator_and_lifts_the_warning() -> None:
    ask, member, operator = an_ask(hours=240, max_replicas=9, max_hours=720)
    access_requests.submit(member, ask.pk, NOON)
    access_requests.pass_time(NOON + timedelta(days=9))
    row = access_requests.extend(member, ask.pk, NOON + timedelta(days=9), 480, "The launch has moved.")
    assert (row.expires_at, row.extension_until) == (NOON + timedelta(days=10), NOON + timedelta(days=30))
    row = access_requests.decide_change(operator, ask.pk, NOON + timedelta(days=9), grant=True)
    assert (row.state, row.expires_at, row.extension_until) == ("approved", NOON + timedelta(days=30), None)
    with pytest.raises(NotNow, match="no pending change"):
        access_requests.decide_change(operator, ask.pk, NOON + timedelta(days=9), grant=True)


def test_fewer_replicas_need_no_approval_and_more_than_the_limit_an_operator() -> None:
    ask, member, operator = an_ask(3, max_replicas=4)
    access_requests.submit(member, ask.pk, NOON)
    assert access_requests.resize(member, ask.pk, NOON, 1).replicas == 1
    assert access_requests.resize(member, ask.pk, NOON, 4).replicas == 4
    row = access_requests.resize(member, ask.pk, NOON, 6)
    assert (row.replicas, row.wanted_replicas) == (4, 6)
    row = access_requests.decide_change(operator, ask.pk, NOON, grant=False, reason="No room.")
    assert (row.replicas, row.wanted_replicas) == (4, None)


def at_once(*actions: Callable[[], Any]) -> list[str]:
    """Every action in a thread and transaction of its own; how each ended."""
    ends, start = [""] * len(actions), threading.Barrier(len(actions))

    def run(place: int) -> None:
        start.wait()
        try:
            actions[place]()
            ends[place] = "done"
        except NotNow:
            ends[place] = "conflict"
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return sorted(ends)


@pytest.mark.django_db(transaction=True)
def test_of_two_decisions_at_once_the_second_is_refused() -> None:
    ask, member, operator = an_ask()
    other = a_user("olga", Role.OPERATOR)
    access_requests.submit(member, ask.pk, NOON)
    ends = at_once(
        lambda: access_requests.approve(operator, ask.pk, NOON), lambda: access_requests.reject(other, ask.pk, NOON, "No."),
        lambda: access_requests.approve(other, ask.pk, NOON),
    )  # fmt: skip
    assert ends == ["conflict", "conflict", "done"]
    assert AccessRequestStep.objects.filter(request=ask, kind__in=("approve", "reject")).count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_submissions_at_once_do_not_both_fit_into_what_is_left() -> None:
    ask, member, _ = an_ask(3, max_replicas=4)
    fields = {"namespace": "research", "name": "more", "replicas": 3, "now": NOON}
    second = access_requests.draft(member, ask.team, ask.class_version, **fields)
    at_once(lambda: access_requests.submit(member, ask.pk, NOON), lambda: access_requests.submit(member, second.pk, NOON))
    assert sorted(AccessRequest.objects.values_list("state", flat=True)) == ["approved", "submitted"]


def test_every_field_that_is_wrong_is_named_at_once() -> None:
    member = a_user("mia")
    team, version = a_team("research", member), a_class_version(gpus=4, sizes=[8], max_hours=720)
    fields = {"namespace": "kube-system", "name": "No Name", "replicas": 0, "image": "a b", "hours": 999, "gpus": 3, "now": NOON}
    with pytest.raises(FieldError) as caught:
        access_requests.draft(member, team, version, **fields)
    assert [field for field, _ in caught.value.fields] == ["gpus", "replicas", "namespace", "name", "image", "hours"]
    assert not AccessRequest.objects.exists()


def test_events_are_added_in_the_transaction_of_their_step() -> None:
    ask, member, operator = an_ask(5, hours=240, max_replicas=4, max_hours=720)
    access_requests.submit(member, ask.pk, NOON)
    access_requests.approve(operator, ask.pk, NOON, "Fine.")
    access_requests.extend(member, ask.pk, NOON, 240)
    access_requests.decide_change(operator, ask.pk, NOON, grant=False, reason="Not now.")
    access_requests.comment(operator, ask.pk, NOON, "Come back in March.")
    access_requests.pass_time(NOON + timedelta(days=9))
    access_requests.pass_time(NOON + timedelta(days=11))
    with pytest.raises(NotNow):
        access_requests.withdraw(member, ask.pk, NOON)
    rows = Notice.objects.filter(kind="request").order_by("id")
    assert [(row.detail["step"], row.detail["for"], row.at) for row in rows] == [
        ("submit", "approvers", NOON),
        ("approve", "team", NOON),
        ("extend", "approvers", NOON),
        ("refuse_change", "team", NOON),
        ("comment", "team", NOON),
        ("warn", "team", NOON + timedelta(days=8)),
        ("expire", "team", NOON + timedelta(days=10)),
    ]
    assert {row.detail["request"] for row in rows} == {ask.pk}
    assert rows[1].text == "Fine."


def test_what_is_granted_at_once_asks_no_approver() -> None:
    ask, member, _ = an_ask(2, max_replicas=4)
    access_requests.submit(member, ask.pk, NOON)
    access_requests.resize(member, ask.pk, NOON, 1)
    assert [row.detail["step"] for row in Notice.objects.order_by("id")] == ["approve", "change"]


def test_a_size_granted_at_once_does_not_grant_the_extension_that_waits() -> None:
    ask, member, _ = an_ask(2, hours=24, max_replicas=4, max_hours=720)
    end = access_requests.submit(member, ask.pk, NOON).expires_at
    access_requests.extend(member, ask.pk, NOON, 480)
    for replicas in (2, 3, 1):
        row = access_requests.resize(member, ask.pk, NOON, replicas)
        assert (row.replicas, row.expires_at, row.extension_until) == (replicas, end, NOON + timedelta(hours=504))


def test_an_operators_own_extension_does_not_grant_the_size_that_waits() -> None:
    ask, member, operator = an_ask(2, hours=24, max_replicas=4, max_hours=720)
    access_requests.submit(member, ask.pk, NOON)
    access_requests.resize(member, ask.pk, NOON, 9)
    row = access_requests.extend(operator, ask.pk, NOON, 24)
    assert (row.expires_at, row.replicas, row.wanted_replicas) == (NOON + timedelta(hours=48), 2, 9)
    row = access_requests.decide_change(operator, ask.pk, NOON, grant=True)
    assert (row.replicas, row.wanted_replicas) == (9, None)


def test_who_asks_does_not_decide() -> None:
    ask, _, operator = an_ask(9, hours=24, max_replicas=4, max_hours=720, by_operator=True)
    other = a_user("olga", Role.OPERATOR)
    access_requests.submit(operator, ask.pk, NOON)
    with pytest.raises(NotYours, match="another operator"):
        access_requests.approve(operator, ask.pk, NOON)
    access_requests.approve(other, ask.pk, NOON)
    row = access_requests.extend(other, ask.pk, NOON, 24)
    assert row.extension_until is not None, "an operator's own wish waits too"
    with pytest.raises(NotYours, match="another operator"):
        access_requests.decide_change(other, ask.pk, NOON, grant=True)
    row = access_requests.decide_change(operator, ask.pk, NOON, grant=True)
    assert row.extension_until is None, "the requester decides a change that another person requested"


def test_without_four_eyes_operators_decide_alone(settings: Any) -> None:
    settings.FOUR_EYES = False
    ask, _, operator = an_ask(9, hours=24, max_replicas=4, max_hours=720, by_operator=True)
    a_user("olga", Role.OPERATOR)
    access_requests.submit(operator, ask.pk, NOON)
    access_requests.approve(operator, ask.pk, NOON)
    assert access_requests.extend(operator, ask.pk, NOON, 24).extension_until is None


@pytest.mark.parametrize(("fields", "alone"), [({}, False), ({"is_active": False}, True), ({"service": True}, True)])
def test_a_single_operator_decides_alone(fields: dict[str, Any], alone: bool) -> None:
    ask, _, operator = an_ask(9, max_replicas=4, by_operator=True)
    User.objects.create(username="olga", role=Role.OPERATOR, **fields)
    access_requests.submit(operator, ask.pk, NOON)
    if not alone:
        with pytest.raises(NotYours):
            access_requests.approve(operator, ask.pk, NOON)
    else:
        assert access_requests.approve(operator, ask.pk, NOON).state == "approved"


def test_a_service_account_cannot_be_the_second_person() -> None:
    ask, member, _ = an_ask(9, max_replicas=4)
    access_requests.submit(member, ask.pk, NOON)
    robot = User.objects.create(username="robot", role=Role.OPERATOR, service=True)
    with pytest.raises(NotYours, match="service account"):
        access_requests.approve(robot, ask.pk, NOON)
