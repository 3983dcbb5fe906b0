"""Accounts: who may make and change them, what disabling takes away, and names that cannot be taken over."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.test import Client

from fleet.domain.refusals import FieldError, NotNow, NotYours, Refused
from fleet.models import AuditEntry, Role, User
from fleet.services import accounts
from tests.factories import NOON, a_user, create_token

pytestmark = pytest.mark.django_db
URL = "http://127.0.0.1:8000"


@pytest.fixture
def admin() -> User:
    return a_user("ada", Role.ADMIN)


def test_an_account_is_made_without_a_password_and_audited(admin: User) -> None:
    user = accounts.create(admin, "mia", "developer", NOON)
    assert (user.role, user.has_usable_password(), user.service) == (Role.DEVELOPER, False, False)
    entry = AuditEntry.objects.get(action="user.create")
    assert (entry.actor_name, entry.subject, entry.detail["after"]["role"]) == ("ada", "mia", "developer")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.DEVELOPER, Role.OPERATOR])
def test_only_administrators_manage_accounts(admin: User, role: Role) -> None:
    actor = a_user("otto", role)
    attempts: list[Any] = [
        lambda: accounts.create(actor, "mia", "viewer", NOON),
        lambda: accounts.change(actor, "otto", NOON, role="admin"),
        lambda: accounts.change(actor, "ada", NOON, active=False),
        lambda: accounts.invite(actor, "ada", URL, NOON),
        lambda: accounts.reset_second_factor(actor, "ada", NOON),
    ]
    for attempt in attempts:
        with pytest.raises(NotYours):
            attempt()


@pytest.mark.parametrize("name", ["", " ", "-x", "a b", "ä", "a/b", "x" * 151, "a\0b", "<script>"])
def test_names_that_are_refused(admin: User, name: str) -> None:
    with pytest.raises(FieldError):
        accounts.create(admin, name, "viewer", NOON)


def test_a_name_differing_only_in_case_is_taken(admin: User) -> None:
    with pytest.raises(FieldError, match="already exists"):
        accounts.create(admin, "ADA", "viewer", NOON)
    assert accounts.free_username("Ada") == "Ada-2"
    assert accounts.free_username("x\N{LATIN SMALL LETTER SHARP S} y") == "x--y"


def test_switching_off_ends_sessions_and_tokens(admin: User, client: Client) -> None:
    user = accounts.create(admin, "mia", "operator", NOON)
    path = accounts.invite(admin, "mia", URL, NOON.replace(year=2099)).removeprefix(URL)
    client.post(path)
    assert client.get("/nodes/").status_code == 200
    _, secret = create_token("mia", None, None)
    bearer = {"Authorization": f"Bearer {secret}"}
    accounts.change(admin, "mia", NOON, active=False, reason="left")
    assert client.get("/nodes/").status_code == 302
    assert Client().get("/api/v1/nodes/", headers=bearer).status_code == 401
    assert not UserSession.objects.filter(user_id=user.pk).exists()
    accounts.change(admin, "mia", NOON, active=True)
    assert client.get("/nodes/").status_code == 302, "the old session stays ended"


def test_the_last_administrator_stays(admin: User) -> None:
    for change in ({"role": "viewer"}, {"active": False}):
        with pytest.raises(NotNow, match="last administrator"):
            accounts.change(admin, "ada", NOON, **change)  # type: ignore[arg-type]
    a_user("bo", Role.ADMIN)
    accounts.change(admin, "ada", NOON, role="viewer")


def test_a_role_from_groups_is_not_changed_here(admin: User) -> None:
    User.objects.create(username="mia", role=Role.VIEWER, sso=True)
    with pytest.raises(NotNow, match="identity provider"):
        accounts.change(admin, "mia", NOON, role="operator")


@pytest.mark.parametrize("password", ["short", "1234567890123", "password1234", "mia-mia-mia-mia"])
def test_password_rules(password: str) -> None:
    with pytest.raises(FieldError):
        accounts.set_password(a_user("mia-mia-mia-mia"), password, password, NOON)


def test_a_service_account_never_signs_in(admin: User) -> None:
    accounts.create(admin, "robot", "operator", NOON, service=True)
    with pytest.raises(NotNow):
        accounts.invite(admin, "robot", URL, NOON)
    with pytest.raises(Refused):
        accounts.set_password(User.objects.get(username="robot"), "a long good one", "a long good one", NOON)
