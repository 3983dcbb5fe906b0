"""Requests over REST: who may do what, conflicts, idempotency keys, problem details."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from fleet.models import AccessRequest, ApiToken, Role, TeamMember, User
from tests.factories import a_class_version, a_team, a_user, create_token

pytestmark = pytest.mark.django_db
BODY = {"team": "research", "workload_class": "full-h100", "namespace": "research", "name": "llama", "replicas": 2}


def as_user(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def people() -> dict[str, APIClient]:
    """One client for each role; `member` is a developer of the team, `stranger` is not."""
    member = a_user("mia")
    a_team("research", member)
    a_class_version(max_replicas=1)
    others = {"stranger": Role.DEVELOPER, "viewer": Role.VIEWER, "operator": Role.OPERATOR, "admin": Role.ADMIN}
    users = {"member": member} | {name: a_user(name, role) for name, role in others.items()}
    return {name: as_user(user) for name, user in users.items()} | {"anonymous": APIClient()}


def submitted(people: dict[str, APIClient]) -> str:
    answer = people["member"].post("/api/v1/requests/", BODY, format="json")
    assert answer.status_code == 201, answer.content
    assert answer.json()["state"] == "submitted"
    return f"/api/v1/requests/{answer.json()['id']}/"


WHO = ("anonymous", "viewer", "stranger", "member", "operator", "admin")
TABLE = [
    # step, body, then the status for each of WHO
    ("", None, (401, 404, 404, 200, 200, 200)),
    ("approve/", {}, (401, 403, 403, 403, 200, 200)),
    ("reject/", {"reason": "No room."}, (401, 403, 403, 403, 200, 200)),
    ("withdraw/", {}, (401, 403, 404, 200, 200, 200)),
    ("comment/", {"text": "When?"}, (401, 403, 404, 200, 200, 200)),
    ("resize/", {"replicas": 3}, (401, 403, 404, 409, 409, 409)),
    ("extend/", {"hours": 3}, (401, 403, 404, 409, 409, 409)),
    ("decide-change/", {"grant": True}, (401, 403, 403, 403, 409, 409)),
]


@pytest.mark.parametrize(("who", "place"), [(who, place) for place, who in enumerate(WHO)])
@pytest.mark.parametrize(("step", "body", "expected"), TABLE, ids=[row[0] or "read" for row in TABLE])
def test_each_role_may_do_just_what_it_should(
    people: dict[str, APIClient], who: str, place: int, step: str, body: Any, expected: tuple[int, ...]
) -> None:
    url = submitted(people) + step
    client = people[who]
    answer = client.get(url) if body is None else client.post(url, body, format="json")
    assert answer.status_code == expected[place], answer.content
    if answer.status_code >= 400:
        assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(("who", "expected"), [("viewer", 403), ("stranger", 400), ("member", 201), ("operator", 201)])
def test_who_may_ask_in_a_teams_name(people: dict[str, APIClient], who: str, expected: int) -> None:
    assert people[who].post("/api/v1/requests/", BODY, format="json").status_code == expected


def test_a_team_of_others_and_none_at_all_answer_alike(people: dict[str, APIClient]) -> None:
    bodies = []
    for slug in ("research", "none-such"):
        answer = people["stranger"].post("/api/v1/requests/", BODY | {"team": slug}, format="json")
        bodies.append((answer.status_code, answer.content.decode().replace(slug, "X")))
    assert bodies[0] == bodies[1]
    assert bodies[0][0] == 400


def test_users_see_the_requests_of_their_own_teams_only(people: dict[str, APIClient]) -> None:
    submitted(people)
    seen = {who: len(people[who].get("/api/v1/requests/").json()["results"]) for who in WHO[1:]}
    assert seen == {"viewer": 0, "stranger": 0, "member": 1, "operator": 1, "admin": 1}


def test_the_second_decision_is_a_conflict_with_a_sentence(people: dict[str, APIClient]) -> None:
    url = submitted(people)
    assert people["operator"].post(f"{url}approve/", {}, format="json").json()["state"] == "approved"
    answer = people["admin"].post(f"{url}reject/", {"reason": "No."}, format="json")
    assert answer.status_code == 409
    assert answer.json()["detail"] == "This request is already approved and cannot be rejected."


def test_a_bad_field_is_named(people: dict[str, APIClient]) -> None:
    for change, field in (
        ({"namespace": "kube-system"}, "namespace"),
        ({"replicas": 0}, "replicas"),
        ({"workload_class": "none-such"}, "workload_class"),
        ({"team": "none-such"}, "team"),
        ({"name": "No Name"}, "name"),
    ):
        answer = people["member"].post("/api/v1/requests/", BODY | change, format="json")
        assert answer.status_code == 400, change
        assert list(answer.json()["errors"]) == [field]
    assert not AccessRequest.objects.exists()


def test_a_repeated_post_asks_once(people: dict[str, APIClient]) -> None:
    key = {"HTTP_IDEMPOTENCY_KEY": "7d2e"}
    first = people["member"].post("/api/v1/requests/", BODY, format="json", **key)
    again = people["member"].post("/api/v1/requests/", BODY, format="json", **key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again["Idempotent-Replayed"] == "true"
    assert AccessRequest.objects.count() == 1
    other = people["member"].post("/api/v1/requests/", BODY | {"replicas": 3}, format="json", **key)
    assert other.status_code == 400
    assert "Idempotency-Key" in other.json()["errors"]


def test_a_repeated_post_is_checked_against_todays_rights(people: dict[str, APIClient]) -> None:
    key = {"HTTP_IDEMPOTENCY_KEY": "7d2e"}
    assert people["member"].post("/api/v1/requests/", BODY, format="json", **key).status_code == 201
    TeamMember.objects.all().delete()
    again = people["member"].post("/api/v1/requests/", BODY, format="json", **key)
    assert again.status_code == 404, "who left the team reads nothing of it"
    assert "llama" not in again.content.decode()
    user = User.objects.get(username="mia")
    user.role = Role.VIEWER
    user.save()
    assert as_user(user).post("/api/v1/requests/", BODY, format="json", **key).status_code == 403


def test_an_operator_does_not_approve_their_own(people: dict[str, APIClient]) -> None:
    made = people["operator"].post("/api/v1/requests/", BODY, format="json").json()
    url = f"/api/v1/requests/{made['id']}/approve/"
    answer = people["operator"].post(url, {}, format="json")
    assert (answer.status_code, answer.json()["detail"]) == (403, "You requested this: another operator decides.")
    assert people["admin"].post(url, {}, format="json").status_code == 200


def test_a_post_that_was_refused_frees_its_key(people: dict[str, APIClient]) -> None:
    key = {"HTTP_IDEMPOTENCY_KEY": "7d2f"}
    assert people["member"].post("/api/v1/requests/", BODY | {"replicas": 0}, format="json", **key).status_code == 400
    assert people["member"].post("/api/v1/requests/", BODY, format="json", **key).status_code == 201


def test_a_token_with_less_than_its_users_role_decides_nothing(people: dict[str, APIClient]) -> None:
    url = submitted(people)
    token, secret = create_token("operator", None, None)
    ApiToken.objects.filter(pk=token.pk).update(role=Role.DEVELOPER)
    robot = APIClient()
    robot.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    assert robot.post(f"{url}approve/", {}, format="json").status_code == 403
    assert robot.get(url).status_code == 404
