"""Accounts, tokens and sessions over REST: own ones, all of them for administrators, and no way to learn who else exists."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from fleet.models import ApiToken, Role, User
from tests.factories import a_user, create_token

pytestmark = pytest.mark.django_db


def with_token(secret: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


@pytest.fixture
def mia() -> APIClient:
    return with_token(create_token("mia", Role.DEVELOPER, None)[1])


@pytest.fixture
def ada() -> APIClient:
    return with_token(create_token("ada", Role.ADMIN, None)[1])


def names(answer: Any, field: str) -> set[str]:
    assert answer.status_code == 200, answer.content
    return {row[field] for row in answer.json()["results"]}


def test_each_sees_their_own_and_administrators_all(mia: APIClient, ada: APIClient) -> None:
    assert names(mia.get("/api/v1/users/"), "username") == {"mia"}
    assert names(ada.get("/api/v1/users/"), "username") == {"mia", "ada"}
    assert names(mia.get("/api/v1/tokens/"), "user") == {"mia"}
    assert names(ada.get("/api/v1/tokens/?status=active"), "user") == {"mia", "ada"}
    Client().force_login(User.objects.get(username="ada"))
    assert names(mia.get("/api/v1/sessions/"), "user") == set()


def test_nothing_of_others_is_counted_found_or_exported(mia: APIClient, ada: APIClient) -> None:
    secret_name = User.objects.get(username="ada")
    token = ApiToken.objects.get(user=secret_name)
    for path in ("users", "tokens", "sessions"):
        for rest in ("", "?format=csv", "facets/"):
            answer = mia.get(f"/api/v1/{path}/{rest}")
            content = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
            assert b"ada" not in content, path + rest
    assert names(mia.get("/api/v1/users/?q=ada"), "username") == set()
    for known, unknown in ((secret_name.pk, secret_name.pk + 999), (token.public_id, "0" * 16)):
        path = "tokens" if isinstance(known, str) else "users"
        answers = [mia.get(f"/api/v1/{path}/{pk}/") for pk in (known, unknown)]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].json()["detail"] == answers[1].json()["detail"]
    texts = [mia.post("/api/v1/tokens/", {"scopes": ["read"], "user": name}).json() for name in ("ada", "xyz")]
    assert str(texts[0]).replace("ada", "xyz") == str(texts[1])


def test_an_administrator_makes_changes_and_switches_off(ada: APIClient) -> None:
    made = ada.post("/api/v1/users/", {"username": "eve", "role": "operator"})
    assert made.status_code == 201
    path = f"/api/v1/users/{made.json()['id']}/"
    changed = ada.patch(path, {"role": "viewer", "active": False, "reason": "left"}).json()
    assert (changed["role"], changed["active"]) == ("viewer", False)
    assert ada.post("/api/v1/users/", {"username": "eve"}).status_code == 400
    assert ada.patch(path, {"role": "king"}).status_code == 400


@pytest.mark.parametrize("role", [Role.VIEWER, Role.DEVELOPER, Role.OPERATOR])
def test_other_roles_cannot_change_accounts(role: Role) -> None:
    client = with_token(create_token("mia", role, None)[1])
    pk = User.objects.get().pk
    assert client.post("/api/v1/users/", {"username": "eve"}).status_code == 403
    assert client.patch(f"/api/v1/users/{pk}/", {"role": "admin"}).status_code == 403


def test_a_token_of_its_own_never_exceeds_the_one_that_makes_it() -> None:
    _, secret = create_token("ada", Role.ADMIN, None)
    admin = User.objects.get()
    reading = with_token(secret).post("/api/v1/tokens/", {"scopes": ["read"], "days": 1}).json()["secret"]
    for scopes in (["admin"], ["read", "operate"], ["request"]):
        answer = with_token(reading).post("/api/v1/tokens/", {"scopes": scopes})
        assert answer.status_code == 400, answer.content
    assert admin.auth_token_set.count() == 2


def test_a_token_is_rotated_and_revoked(mia: APIClient) -> None:
    own = mia.get("/api/v1/tokens/").json()["results"][0]
    fresh = mia.post(f"/api/v1/tokens/{own['id']}/rotate/")
    assert fresh.status_code == 201
    client = with_token(fresh.json()["secret"])
    assert client.get("/api/v1/tokens/").status_code == 200
    assert client.post(f"/api/v1/tokens/{own['id']}/revoke/").json()["status"] == "revoked"
    assert mia.get("/api/v1/tokens/").status_code == 401
    assert client.post(f"/api/v1/tokens/{own['id']}/revoke/").status_code == 409


def test_a_session_is_ended() -> None:
    user = a_user("mia")
    user.set_password("correct horse battery")
    user.save()
    browser = Client()
    browser.post("/sign-in/", {"username": "mia", "password": "correct horse battery"})
    row = browser.get("/api/v1/sessions/").json()["results"][0]
    assert (row["user"], row["current"], row["address"]) == ("mia", True, "127.0.0.1")
    api = with_token(create_token("mia", None, None)[1])
    assert api.post(f"/api/v1/sessions/{row['id']}/end/").status_code == 204
    assert api.post(f"/api/v1/sessions/{row['id']}/end/").status_code == 404
    assert browser.get("/nodes/").status_code == 302
