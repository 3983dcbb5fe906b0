"""Who is in no team learns whom to ask, asks, and is added or declined by a lead or an operator."""

from __future__ import annotations

import pytest
from django.test import Client

from fleet.models import AuditEntry, MembershipRequest, Notice, Role, TeamMember, User
from tests.factories import a_class_version, a_team, a_user

pytestmark = pytest.mark.django_db


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def lead() -> User:
    user = a_user("lena-lead")
    TeamMember.objects.create(team=a_team("inference", name="Inference"), user=user, lead=True)
    return user


@pytest.fixture
def dora(lead: User) -> Client:
    a_user("otto-operator", Role.OPERATOR)
    return client_of(a_user("dora"))


def words(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_pages_that_need_a_team_name_whom_to_ask_and_offer_to_ask(dora: Client) -> None:
    a_class_version()
    for path in ("/teams/", "/requests/", "/requests/new/"):
        page = words(dora, path)
        assert "You are not in a team yet" in page, path
        assert "Led by lena-lead" in page
        assert "otto-operator" in page
        assert 'action="/teams/inference/join/"' in page
    assert "join/" not in words(client_of(a_user("vera", Role.VIEWER)), "/teams/"), "viewers cannot request"


def test_a_lead_adds_who_asks(dora: Client, lead: User) -> None:
    for _ in range(2):
        dora.post("/teams/inference/join/", {"reason": "New here"})
    assert MembershipRequest.objects.count() == 1
    assert "Requested, waiting for a decision" in words(dora, "/teams/")
    assert Notice.objects.get().title == "dora asks to join Inference"
    page = words(client_of(lead), "/teams/inference/")
    assert "1 person asks to join" in page.replace("\N{NO-BREAK SPACE}", " ")
    assert "New here" in page
    client_of(lead).post("/teams/inference/members/", {"user": "dora"})
    assert not MembershipRequest.objects.exists()
    assert "Your 1 team" in words(dora, "/teams/").replace("\N{NO-BREAK SPACE}", " ")


def test_an_operator_declines_and_others_may_not(dora: Client) -> None:
    dora.post("/teams/inference/join/")
    other = client_of(a_user("olaf"))
    TeamMember.objects.create(team=a_team("search"), user=User.objects.get(username="olaf"), lead=True)
    assert other.post("/teams/inference/members/decline/", {"user": "dora"}).status_code == 404
    otto = client_of(User.objects.get(username="otto-operator"))
    assert otto.post("/teams/inference/members/decline/", {"user": "dora"}).status_code == 302
    assert not MembershipRequest.objects.exists()
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert actions == {"team.decline_membership", "team.ask_membership"}
    assert dora.post("/teams/none-such/join/").status_code == 404
    assert client_of(a_user("vera", Role.VIEWER)).post("/teams/inference/join/").status_code == 403
    assert dora.post("/teams/inference/join/", {"reason": "x" * 501}).status_code == 302
    assert not MembershipRequest.objects.exists(), "a reason that is too long is refused"
