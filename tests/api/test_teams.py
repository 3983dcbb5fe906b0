"""Teams over REST: who may make, change and people them."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from fleet.models import AuditEntry, Role, Team, User
from tests.factories import a_team, a_user

pytestmark = pytest.mark.django_db
BODY = {"slug": "vision", "name": "Vision", "namespaces": ["vision"], "max_replicas": 3}


def as_user(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def people() -> dict[str, APIClient]:
    member, lead, viewer_lead = a_user("mia"), a_user("lea"), a_user("vic", Role.VIEWER)
    team = a_team("research", member)
    team.members.create(user=lead, lead=True)
    team.members.create(user=viewer_lead, lead=True)
    others = {"stranger": Role.DEVELOPER, "viewer": Role.VIEWER, "operator": Role.OPERATOR, "admin": Role.ADMIN}
    users = {"member": member, "lead": lead, "viewer_lead": viewer_lead}
    users |= {name: a_user(name, role) for name, role in others.items()}
    return {name: as_user(user) for name, user in users.items()} | {"anonymous": APIClient()}


WHO = ("anonymous", "viewer", "stranger", "viewer_lead", "member", "lead", "operator", "admin")
TABLE = [
    ("get", "", None, (401, 200, 200, 200, 200, 200, 200, 200)),
    ("get", "research/", None, (401, 404, 404, 200, 200, 200, 200, 200)),
    ("post", "", BODY, (401, 403, 403, 403, 403, 403, 201, 201)),
    ("patch", "research/", {"max_replicas": 7}, (401, 403, 403, 403, 403, 403, 200, 200)),
    ("patch", "none-such/", {"max_replicas": 7}, (401, 403, 403, 403, 403, 403, 404, 404)),
    ("put", "research/members/stranger/", {"lead": False}, (401, 403, 404, 403, 403, 200, 200, 200)),
    ("put", "research/members/nils/", {}, (401, 403, 404, 403, 403, 404, 404, 404)),
    ("delete", "research/members/mia/", None, (401, 403, 404, 403, 403, 204, 204, 204)),
    ("delete", "research/members/stranger/", None, (401, 403, 404, 403, 403, 409, 409, 409)),
]


@pytest.mark.parametrize(("who", "place"), [(who, place) for place, who in enumerate(WHO)])
@pytest.mark.parametrize(("method", "path", "body", "expected"), TABLE, ids=[f"{row[0]} {row[1] or 'teams'}" for row in TABLE])
def test_each_role_may_do_just_what_it_should(
    people: dict[str, APIClient], who: str, place: int, method: str, path: str, body: Any, expected: tuple[int, ...]
) -> None:
    answer = getattr(people[who], method)(f"/api/v1/teams/{path}", body, format="json")
    assert answer.status_code == expected[place], answer.content
    if answer.status_code >= 400:
        assert answer["Content-Type"] == "application/problem+json"


def test_users_see_their_own_teams_only(people: dict[str, APIClient]) -> None:
    seen = {who: len(people[who].get("/api/v1/teams/").json()["results"]) for who in WHO[1:]}
    assert seen == {"viewer": 0, "stranger": 0, "viewer_lead": 1, "member": 1, "lead": 1, "operator": 1, "admin": 1}


def test_a_team_is_made_once_for_a_key_and_changed_in_part(people: dict[str, APIClient]) -> None:
    key = {"HTTP_IDEMPOTENCY_KEY": "t-1"}
    first = people["operator"].post("/api/v1/teams/", BODY, format="json", **key)
    again = people["operator"].post("/api/v1/teams/", BODY, format="json", **key)
    assert (first.status_code, again.status_code, again["Idempotent-Replayed"]) == (201, 201, "true")
    changed = people["operator"].patch("/api/v1/teams/vision/", {"namespaces": ["vision", "vision-dev"]}, format="json").json()
    assert (changed["name"], changed["namespaces"], changed["max_replicas"]) == ("Vision", ["vision", "vision-dev"], 3)
    assert AuditEntry.objects.filter(action="team.save").count() == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"slug": "No Slug"}, "slug"),
        ({"slug": "research"}, "slug"),
        ({"name": " "}, "name"),
        ({"namespaces": ["Kube"]}, "namespaces"),
        ({"namespaces": ["research"]}, "namespaces"),
        ({"max_replicas": -1}, "max_replicas"),
    ],
)
def test_a_bad_field_is_named(people: dict[str, APIClient], change: dict[str, Any], field: str) -> None:
    answer = people["operator"].post("/api/v1/teams/", BODY | change, format="json")
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]
    assert Team.objects.count() == 1


def test_who_does_not_lead_learns_nothing_of_accounts() -> None:
    member = a_user("mia")
    a_team("research", member)
    a_user("known")
    client = APIClient()
    client.force_authenticate(member)
    for method in ("put", "delete"):
        answers = [getattr(client, method)(f"/api/v1/teams/research/members/{name}/", {}) for name in ("known", "none-such")]
        assert [(answer.status_code, answer.json()["detail"]) for answer in answers] == [
            (403, "Only an operator or a lead of the team can change its members.")
        ] * 2


@pytest.mark.parametrize(("name", "path"), [("corp/mia", "corp~1mia"), ("..", ".."), ("a~b", "a~0b")])
def test_a_member_of_any_name_is_added_and_removed(name: str, path: str) -> None:
    """Names that Muster gives hold no slash; those of an earlier version or of another program's rows may."""
    client, team = as_user(a_user("otto", Role.OPERATOR)), a_team("research")
    a_user(name)
    address = f"/api/v1/teams/research/members/{path}/"
    assert client.put(address, {}, format="json").status_code == 200
    assert [member.user.username for member in team.members.all()] == [name]
    assert client.delete(address).status_code == 204
    assert not team.members.exists()
