"""Tokens: nothing raises a role silently, scopes bound what a token does, and rows stay for the audit."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from fleet.domain.refusals import FieldError, NotNow, NotYours
from fleet.models import ApiToken, AuditEntry, Role, User
from fleet.services import tokens
from tests.factories import a_cluster, a_user, create_token

pytestmark = pytest.mark.django_db


def ask(secret: str, method: str = "get", path: str = "/api/v1/nodes/", **more: Any) -> int:
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    status: int = getattr(client, method)(path, **more).status_code
    return status


def on_the_command_line(name: str, role: Role | None, **more: Any) -> tuple[ApiToken, str]:
    return tokens.create_from_command_line(name, timezone.now(), role=role, lifetime=None, **more)


def test_a_role_is_raised_only_where_that_is_asked_and_audited() -> None:
    a_user("robot", Role.VIEWER)
    with pytest.raises(FieldError, match="--raise"):
        on_the_command_line("robot", Role.ADMIN)
    assert User.objects.get().role == Role.VIEWER
    assert not ApiToken.objects.exists()
    on_the_command_line("robot", Role.ADMIN, raise_role=True)
    assert User.objects.get().role == Role.ADMIN
    entry = AuditEntry.objects.get(action="user.change")
    assert entry.detail == {"before": {"role": "viewer"}, "after": {"role": "admin"}}


def test_a_lower_role_never_lowers_the_user() -> None:
    a_user("robot", Role.OPERATOR)
    token, _ = on_the_command_line("robot", Role.VIEWER)
    assert (User.objects.get().role, token.role, token.scopes) == (Role.OPERATOR, Role.VIEWER, ["read"])


def test_expired_and_revoked_tokens_keep_their_row() -> None:
    user = a_user("mia")
    now = timezone.now()
    old, expired = tokens.create(user, user, now, lifetime=timedelta(seconds=-1))
    token, revoked = tokens.create(user, user, now)
    tokens.revoke(user, token.public_id, now)
    _, living = tokens.create(user, user, now)
    assert [ask(expired), ask(revoked), ask(living)] == [401, 401, 200]
    assert {row.state(timezone.now()) for row in ApiToken.objects.all()} == {"expired", "revoked", "active"}
    assert ApiToken.objects.count() == 3
    with pytest.raises(NotNow, match="expired already"):
        tokens.revoke(user, old.public_id, now)


def test_scopes_bound_a_token_whatever_its_user_may() -> None:
    a_cluster("east")
    admin = a_user("ada", Role.ADMIN)
    _, reading = tokens.create(admin, admin, timezone.now(), scopes=["read"])
    _, operating = tokens.create(admin, admin, timezone.now(), scopes=["read", "operate"])
    _, requesting = tokens.create(admin, admin, timezone.now(), scopes=["request"])
    collect = "/api/v1/clusters/nowhere/collect/"
    assert [ask(reading), ask(reading, "post", collect)] == [200, 403]
    assert [ask(operating), ask(operating, "post", collect)] == [200, 404]
    assert [ask(requesting), ask(requesting, "post", collect)] == [403, 403]
    assert ask(operating, "post", "/api/v1/requests/", data={}, content_type="application/json") == 403, "not in its scopes"


def test_a_token_of_an_admin_with_the_scope_request_acts_as_a_developer() -> None:
    admin = a_user("ada", Role.ADMIN)
    token, _ = tokens.create(admin, admin, timezone.now(), scopes=["read", "request"])
    assert token.effective_role == Role.DEVELOPER


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"role": "admin"}, "role"),
        ({"role": "king"}, "role"),
        ({"scopes": ["operate"]}, "scopes"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["all"]}, "scopes"),
        ({"name": "x" * 101}, "name"),
    ],
)
def test_what_a_developer_cannot_give_their_token(fields: dict[str, Any], field: str) -> None:
    user = a_user("mia")
    with pytest.raises(FieldError) as refused:
        tokens.create(user, user, timezone.now(), **fields)
    assert refused.value.field == field


def test_a_token_cannot_act_as_another_person() -> None:
    admin, mia = a_user("ada", Role.ADMIN), a_user("mia")
    with pytest.raises(NotYours):
        tokens.create(admin, mia, timezone.now())
    robot = User.objects.create(username="robot", role=Role.OPERATOR, service=True)
    with pytest.raises(NotYours):
        tokens.create(mia, robot, timezone.now())
    tokens.create(admin, robot, timezone.now())


def test_others_tokens_are_not_to_be_known_of() -> None:
    mia, eve = a_user("mia"), a_user("eve")
    token, secret = tokens.create(mia, mia, timezone.now())
    with pytest.raises(NotNow, match="does not exist"):
        tokens.revoke(eve, token.public_id, timezone.now())
    with pytest.raises(NotNow, match="does not exist"):
        tokens.revoke(mia, token.public_id[:4], timezone.now())
    tokens.revoke(a_user("ada", Role.ADMIN), token.public_id, timezone.now())
    assert ask(secret) == 401


def test_a_rotated_token_works_for_another_day() -> None:
    mia = a_user("mia")
    now = timezone.now()
    old, before = tokens.create(mia, mia, now, lifetime=timedelta(days=90), scopes=["read"], name="ci")
    new, after = tokens.rotate(mia, old.public_id, now)
    old.refresh_from_db()
    assert [ask(before), ask(after)] == [200, 200]
    assert old.expiry == now + timedelta(hours=24)
    assert (new.name, new.scopes) == ("ci", ["read"])
    assert new.expiry is not None
    assert timedelta(days=89) < new.expiry - now <= timedelta(days=91)
    with pytest.raises(NotYours):
        tokens.rotate(a_user("ada", Role.ADMIN), new.public_id, now)


def test_last_use_and_address_are_noted() -> None:
    token, secret = create_token("robot", None, None)
    Client(headers={"Authorization": f"Bearer {secret}"}).get("/api/v1/nodes/", REMOTE_ADDR="10.1.2.3")
    token.refresh_from_db()
    assert token.last_used_from == "10.1.2.3"
    assert token.last_used_at is not None
    before = token.last_used_at
    tokens.note_use(token, "10.1.2.3", before + timedelta(seconds=59))
    token.refresh_from_db()
    assert token.last_used_at == before
    tokens.note_use(token, "10.1.2.3", before + timedelta(seconds=60))
    token.refresh_from_db()
    assert token.last_used_at == before + timedelta(seconds=60)
