"""Pages of accounts: for administrators only; other roles do not learn who exists."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from fleet.models import ApiToken, AuditEntry, Role, User
from tests.factories import a_user, create_token

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(a_user("ada", Role.ADMIN))
    return client


def test_a_user_is_made_and_signs_in_by_the_link_once(admin: Client) -> None:
    page = admin.post("/users/", {"username": "mia", "role": "developer"}).content.decode()
    link = re.search(r"http://testserver(/sign-in/[\w-]+/)", page)
    assert link
    mia = Client()
    assert mia.post(link[1])["Location"] == "/account/password/", "who has no password is asked for one"
    assert mia.get("/account/").status_code == 200
    assert Client().post(link[1]).status_code == 410
    entries = list(AuditEntry.objects.order_by("id").values_list("action", "actor_name", "subject"))
    assert entries[:2] == [("user.create", "ada", "mia"), ("user.invite", "ada", "mia")]
    assert link[1].split("/")[2] not in str(list(AuditEntry.objects.values()))


def test_role_and_access_are_changed_with_a_reason(admin: Client) -> None:
    pk = a_user("mia").pk
    admin.post(f"/users/{pk}/", {"role": "operator", "active": "off", "reason": "moved"})
    mia = User.objects.get(username="mia")
    assert (mia.role, mia.is_active) == (Role.OPERATOR, False)
    entry = AuditEntry.objects.get(action="user.change")
    assert (entry.reason, entry.detail["before"]["role"], entry.detail["after"]["active"]) == ("moved", "developer", False)


def test_the_last_administrator_is_not_locked_out(admin: Client) -> None:
    answer = admin.post(f"/users/{User.objects.get().pk}/", {"role": "viewer", "active": "on"}, follow=True)
    assert "is the last administrator" in answer.content.decode()
    assert User.objects.get(username="ada").role == Role.ADMIN


def test_a_service_account_gets_a_token_from_an_administrator(admin: Client) -> None:
    page = admin.post("/users/", {"username": "robot", "role": "operator", "service": "on"})["Location"]
    answer = admin.post(f"{page}tokens/new/", {"name": "ci", "scopes": ["read", "operate"], "days": "30"})
    secret = re.search(r"muster_[0-9a-f]+", answer.content.decode())
    assert secret
    assert ApiToken.objects.get().user.username == "robot"
    admin.post(f"/users/{a_user('mia').pk}/tokens/new/", {"scopes": ["read"], "days": "30"})
    assert ApiToken.objects.count() == 1, "no token that acts as a person was created"


def test_every_token_is_listed_with_its_state(admin: Client) -> None:
    create_token("robot", Role.OPERATOR, None)
    page = admin.get("/tokens/?status=active").content.decode()
    assert "robot" in page
    assert ApiToken.objects.get().token_key in page
    assert "No token matches" in admin.get("/tokens/?status=revoked").content.decode()


@pytest.mark.parametrize("role", [Role.VIEWER, Role.DEVELOPER, Role.OPERATOR])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/users/"),
        ("post", "/users/"),
        ("get", "/tokens/"),
        *[
            (method, f"/users/{name}/{rest}")
            for name in ("KNOWN", "123456789")
            for method, rest in (
                ("get", ""),
                ("post", ""),
                ("post", "invite/"),
                ("post", "sessions/end/"),
                ("post", "second-factor/reset/"),
            )
        ],
    ],
)
def test_other_roles_do_not_learn_who_exists(role: Role, method: str, path: str, client: Client) -> None:
    known = a_user("ada", Role.ADMIN)
    client.force_login(a_user("mia", role))
    assert getattr(client, method)(path.replace("KNOWN", str(known.pk))).status_code == 403


def test_a_token_for_another_account_answers_alike_whether_it_exists(client: Client) -> None:
    known = a_user("ada", Role.ADMIN).pk
    client.force_login(a_user("mia", Role.OPERATOR))
    for pk in (known, known + 10_000):
        assert client.post(f"/users/{pk}/tokens/new/", {"scopes": ["read"], "days": "1"}).status_code == 404


def test_a_hostile_name_is_escaped(admin: Client) -> None:
    user = User.objects.create(username="<script>alert(1)</script>", first_name="<img src=x>", email="a@b")
    for path in ("/users/", f"/users/{user.pk}/"):
        text: Any = admin.get(path).content.decode()
        assert "<script>alert" not in text
        assert "<img src=x" not in text
