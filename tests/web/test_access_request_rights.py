"""Who may see and do what on the pages of access requests."""

from __future__ import annotations

import pytest
from django.test import Client

from fleet.models import Role, Team
from tests.asking import World, a_world
from tests.factories import a_user
from tests.web.request_pages import FORM, as_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(db: None) -> World:
    return a_world()


WHO = ("anonymous", "viewer", "stranger", "member", "lead", "operator", "admin")
TABLE = [
    # method and path, then the status for each of WHO; {id} is a submitted request of the team research
    ("GET /requests/", (302, 200, 200, 200, 200, 200, 200)),
    ("GET /requests/new/", (302, 403, 200, 200, 200, 200, 200)),
    ("POST /requests/new/", (302, 403, 400, 302, 302, 302, 302)),
    ("GET /requests/{id}/", (302, 404, 404, 200, 200, 200, 200)),
    ("GET /requests/{draft}/edit/", (302, 403, 404, 200, 200, 200, 200)),
    ("POST /requests/{draft}/edit/", (302, 403, 404, 302, 302, 302, 302)),
    ("POST /requests/{draft}/submit/", (302, 403, 404, 302, 302, 302, 302)),
    ("POST /requests/{id}/withdraw/", (302, 403, 404, 302, 302, 302, 302)),
    ("POST /requests/{id}/comment/", (302, 403, 404, 302, 302, 302, 302)),
    ("POST /requests/{id}/approve/", (302, 403, 404, 403, 403, 302, 302)),
    ("POST /requests/{id}/reject/", (302, 403, 404, 403, 403, 302, 302)),
    ("POST /requests/{id}/resize/", (302, 403, 404, 409, 409, 409, 409)),
    ("POST /requests/{id}/extend/", (302, 403, 404, 409, 409, 409, 409)),
    ("POST /requests/{id}/decide-change/", (302, 403, 404, 403, 403, 409, 409)),
    ("POST /requests/{id}/activate/", (302, 404, 404, 404, 404, 404, 404)),
    ("GET /requests/99999/", (302, 404, 404, 404, 404, 404, 404)),
    ("GET /requests/numbers/", (302, 403, 403, 403, 403, 200, 200)),
    ("GET /approvals/", (302, 403, 403, 403, 403, 200, 200)),
    ("GET /teams/", (302, 200, 200, 200, 200, 200, 200)),
    ("POST /teams/", (302, 403, 403, 403, 403, 302, 302)),
    ("GET /teams/research/", (302, 404, 404, 200, 200, 200, 200)),
    ("POST /teams/research/", (302, 404, 404, 403, 403, 302, 302)),
    ("POST /teams/research/members/", (302, 404, 404, 403, 302, 302, 302)),
    ("POST /teams/research/members/remove/", (302, 404, 404, 403, 302, 302, 302)),
]
BODY = {
    **FORM, "reason": "No room.", "text": "When?", "grant": "yes", "slug": "vision", "user": "mia",
    "namespaces": "vision", "max_replicas": "3", "sso_group": "",
}  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_each_role_may_do_just_what_it_should(world: World, line: str, expected: tuple[int, ...]) -> None:
    method, path = line.split()
    people = {
        "viewer": a_user("vera", Role.VIEWER),
        "stranger": a_user("sam"),
        "member": world.member,
        "lead": world.lead,
        "operator": world.operator,
        "admin": a_user("ada", Role.ADMIN),
    }
    body = BODY | ({"name": "llama"} if "/requests/" in path else {"name": "Vision"})
    if path == "/teams/research/":
        body |= {"namespaces": "research"}
    rows = []
    for who in WHO:
        Team.objects.filter(slug="vision").delete()
        world.team.members.get_or_create(user=world.member)
        ids = {"id": world.ask("asked", 9).pk, "draft": world.ask("drafted", 1, submit=False).pk}
        client = as_user(people[who]) if who in people else Client()
        rows.append(getattr(client, method.lower())(path.format(**ids), body if method == "POST" else None).status_code)
    assert tuple(rows) == expected


def test_the_navigation_counts_what_waits_for_operators_only(world: World) -> None:
    world.ask("asked", 9)
    shown = {user.username: as_user(user).get("/teams/").content.decode() for user in (world.member, world.operator)}
    assert 'nav__count--alert">1<' in shown["otto"]
    assert "nav__count--alert" not in shown["mia"]
