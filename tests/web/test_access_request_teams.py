"""The pages on which teams are created, changed and given members."""

from __future__ import annotations

import pytest

from fleet.models import Team
from tests.asking import World, a_world
from tests.factories import a_user
from tests.web.request_pages import as_user, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(db: None) -> World:
    return a_world()


def test_a_team_is_made_changed_and_peopled(world: World) -> None:
    client = as_user(world.operator)
    fields = {
        "slug": "vision",
        "name": "Vision",
        "namespaces": "vision, vision-dev",
        "max_replicas": "4",
        "sso_group": "gpu-vision",
    }
    assert "Vision was created" in text(client.post("/teams/", fields, follow=True))
    team = Team.objects.get(slug="vision")
    assert (team.namespaces, team.max_replicas, team.sso_group) == (["vision", "vision-dev"], 4, "gpu-vision")
    client.post("/teams/vision/", fields | {"max_replicas": ""})
    team.refresh_from_db()
    assert team.max_replicas is None
    sam = a_user("sam")
    assert "sam leads Vision." in text(client.post("/teams/vision/members/", {"user": "sam", "lead": "on"}, follow=True))
    assert "User nils not found." in text(as_user(sam).post("/teams/vision/members/", {"user": "nils"}), 400)
    # who takes themselves out sees the team no longer
    assert "You are not in a team yet" in text(as_user(sam).post("/teams/vision/members/remove/", {"user": "sam"}, follow=True))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"slug": "Not One"}, "Use 1 to 63 lowercase letters"),
        ({"slug": "research"}, "Team research already exists."),
        ({"name": ""}, "Give a name"),
        ({"namespaces": "Kube_System"}, "is not a valid namespace"),
        ({"namespaces": "research"}, "research belongs to Research."),
        ({"max_replicas": "-1"}, "Enter a whole number"),
        ({"max_replicas": "99999"}, "Enter 0 to 10,000"),
    ],
)
def test_what_is_wrong_with_a_team(world: World, change: dict[str, str], sentence: str) -> None:
    fields = {"slug": "vision", "name": "Vision", "namespaces": "vision", "max_replicas": "4", "sso_group": ""}
    assert sentence in text(as_user(world.operator).post("/teams/", fields | change), 400)
    assert Team.objects.count() == 1
