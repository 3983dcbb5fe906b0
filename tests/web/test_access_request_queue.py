"""The queue of waiting access requests, decisions in it, its figures, and the events of each step."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest

from fleet.models import AccessRequest, Notice, Role
from tests.asking import World, a_world, busy
from tests.factories import a_team, a_user
from tests.web.request_pages import as_user, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(db: None) -> World:
    return a_world()


def test_the_queue_shows_the_longest_waiting_first_with_the_effect(world: World) -> None:
    rows = busy(world)
    AccessRequest.objects.filter(pk=rows["waiting"].pk).update(submitted_at=world.now + timedelta(hours=1))
    answer = as_user(world.operator).get("/approvals/")
    assert [int(pk) for pk in re.findall(r'data-key="waiting-(\d+)"', answer.content.decode())] == [
        rows["active"].pk,
        rows["waiting"].pk,
    ]
    shown = text(answer)
    # 32 slots, 4 used: 7 replicas of 4 could land; the change adds 4 and the request 5 of them
    assert "7 → 3 replicas of 4 slots could land" in shown
    assert "7 → 2 replicas of 4 slots could land" in shown
    assert "What Research has already: 4 of 40 slots used" in shown


def test_the_queue_names_who_would_no_longer_fit(world: World) -> None:
    first = world.ask("whole-node", 3, gpus=8)
    world.ask("more", 5)
    shown = text(as_user(world.operator).get("/approvals/"))
    assert f"#{first.pk} whole-node of Research: 3 replicas missing, 1 could land instead of 4." in shown
    assert "3 replicas of this class are granted to others and do not run yet." in shown


def test_decisions_in_the_queue(world: World) -> None:
    client = as_user(world.operator)
    rows = [world.ask(f"ask-{number}", 9) for number in range(3)]
    client.post(f"/requests/{rows[0].pk}/approve/", {"back": "queue"})
    assert "Request" in text(client.post(f"/requests/{rows[1].pk}/reject/", {"back": "queue", "reason": "No."}, follow=True))
    refused = client.post(f"/requests/{rows[2].pk}/reject/", {"back": "queue", "reason": ""})
    assert f"Request {rows[2].pk} : A reason is required. The team reads it." in text(refused, 400)
    late = client.post(f"/requests/{rows[0].pk}/reject/", {"back": "queue", "reason": "Too many."})
    shown = text(late, 409)
    assert "This request is already approved and cannot be rejected." in shown
    assert "Your text: “Too many.”" in shown
    assert [row.state for row in AccessRequest.objects.order_by("pk")] == ["approved", "rejected", "submitted"]


def test_the_numbers(world: World) -> None:
    busy(world)
    shown = text(as_user(world.operator).get("/requests/numbers/?days=7"))
    assert "6 requests since" in shown
    assert "100.0 % 1 of 1 pod" in shown
    assert "Notebooks belong into the shared class." in shown
    user = as_user(world.operator).get("/api/v1/requests/numbers/?days=7").json()
    assert (user["requests"], user["by_team"], user["gpu_pods"]) == (6, {"research": 6}, 1)
    assert as_user(world.member).get("/api/v1/requests/numbers/").status_code == 403
    assert as_user(world.operator).get("/api/v1/requests/numbers/?days=0").status_code == 400


def test_every_step_has_one_event_in_its_own_transaction(world: World) -> None:
    busy(world)
    rows = {(notice.detail["step"], notice.detail["for"]) for notice in Notice.objects.filter(kind="request")}
    assert rows == {
        ("submit", "approvers"),
        ("approve", "team"),
        ("activate", "team"),
        ("reject", "team"),
        ("withdraw", "approvers"),
        ("resize", "approvers"),
        ("no_room", "team"),
    }
    titles = set(Notice.objects.filter(kind="request").values_list("title", flat=True))
    assert "Research requests 5 × Full H100, production inference" in titles
    assert "4 × Full H100, production inference for Research would no longer schedule" in titles


def test_a_rule_can_ask_for_requests(client: Any, world: World) -> None:
    from tests.factories import a_target

    client.force_login(a_user("ada", Role.ADMIN))
    a_target()
    assert re.search(r'name="kinds"\s+value="request"', client.get("/notifications/rules/new/").content.decode())


@pytest.mark.parametrize("name", ["corp/mia", "..", "a?b#c", "%2e%2e"])
def test_a_member_of_any_name_is_removed_by_the_button_of_the_page(name: str) -> None:
    client, team = as_user(a_user("otto", Role.OPERATOR)), a_team("research", a_user(name))
    form = re.search(
        r'<form method="post" action="([^"]*/remove/)">(.*?)</form>', client.get("/teams/research/").content.decode(), re.S
    )
    assert form
    user = re.search(r'name="user" value="([^"]*)"', form[2])
    assert user
    assert client.post(form[1], {"user": unescape(user[1])}).status_code == 302
    assert not team.members.exists()
