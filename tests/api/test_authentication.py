from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from fleet.models import ApiToken, Role, User
from tests.factories import create_token

pytestmark = pytest.mark.django_db
PROBLEM = "application/problem+json"


def with_token(secret: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


def test_without_a_token_the_answer_is_401_with_a_problem() -> None:
    answer = APIClient().get("/api/v1/nodes/")
    assert answer.status_code == 401
    assert answer["Content-Type"] == PROBLEM
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["status"] == 401


def test_a_token_signs_in_and_only_its_digest_is_kept() -> None:
    token, secret = create_token("robot", None, timedelta(days=1))
    assert with_token(secret).get("/api/v1/nodes/").status_code == 200
    kept = ApiToken.objects.values().get(pk=token.pk)
    assert secret not in map(str, kept.values())


@pytest.mark.parametrize("secret", ["nonsense", "muster_" + "0" * 64])
def test_a_wrong_token_is_401(secret: str) -> None:
    create_token("robot", None, timedelta(days=1))
    assert with_token(secret).get("/api/v1/nodes/").status_code == 401


def test_an_expired_token_is_401() -> None:
    _, secret = create_token("robot", None, timedelta(seconds=-1))
    assert with_token(secret).get("/api/v1/nodes/").status_code == 401


def test_a_token_that_is_good_forever_has_no_expiry() -> None:
    token, secret = create_token("robot", None, None)
    assert token.expiry is None
    assert with_token(secret).get("/api/v1/nodes/").status_code == 200


@pytest.mark.parametrize(
    ("of_user", "of_token", "allowed"),
    [
        ("operator", "operator", True),
        ("admin", "viewer", False),
        ("viewer", "operator", False),
        ("admin", "admin", True),
    ],
)
def test_a_token_may_do_what_both_it_and_its_user_may(of_user: str, of_token: str, allowed: bool) -> None:
    _, secret = create_token("robot", Role(of_token), None)
    User.objects.update(role=of_user)
    answer = with_token(secret).post("/api/v1/clusters/nowhere/collect/")
    assert answer.status_code == (404 if allowed else 403)
    assert answer["Content-Type"] == PROBLEM


def test_a_user_who_was_switched_off_has_no_token_either() -> None:
    _, secret = create_token("robot", None, None)
    User.objects.update(is_active=False)
    assert with_token(secret).get("/api/v1/nodes/").status_code == 401


def test_a_session_of_the_pages_reads_the_api(reader: Any) -> None:
    assert reader.get("/api/v1/nodes/").status_code == 200


def test_a_session_cannot_write_without_the_csrf_token(operator: User) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(operator)
    assert client.post("/api/v1/clusters/east/collect/").status_code == 403
