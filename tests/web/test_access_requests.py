"""The page of one access request and the list: states, steps, manifest, filters, empty pages."""

from __future__ import annotations

import re

import pytest

from fleet.models import AccessRequestStep
from fleet.services import access_requests
from tests.asking import World, a_world, busy
from tests.factories import a_user
from tests.web.request_pages import as_user, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(db: None) -> World:
    return a_world()


def test_a_granted_request_shows_its_manifest_as_it_was_granted(world: World) -> None:
    from fleet.domain.classes.workload import ClassSpec
    from fleet.services import classes

    row = world.ask("llama", 2, gpus=2, image="registry.example/llama:3")
    changed = ClassSpec(slug="full-h100", title="Changed", gpus=8, pools=("h100",), max_replicas=3)
    classes.save(world.operator, changed, world.now)
    shown = text(as_user(world.member).get(f"/requests/{row.pk}/"))
    assert "kind: Deployment" in shown
    assert re.search(r"nvidia.com/gpu: \W?2\W", shown)
    assert "registry.example/llama:3" in shown
    assert "(the class is at 2 now)" in shown
    assert "kubectl --context east apply -f llama-deployment.yaml" in shown
    assert f"/api/v1/requests/{row.pk}/manifest/?kind=deployment" in shown
    assert "kind: ResourceQuota" in text(as_user(world.member).get(f"/requests/{row.pk}/?kind=quota"))


def test_what_is_not_granted_has_no_manifest(world: World) -> None:
    row = world.ask("llama", 9)
    client = as_user(world.member)
    assert "Available once the request is granted" in text(client.get(f"/requests/{row.pk}/"))
    answer = client.get(f"/api/v1/requests/{row.pk}/manifest/")
    assert (answer.status_code, answer["Content-Type"]) == (409, "application/problem+json")
    access_requests.approve(world.operator, row.pk, world.now)
    assert "kind: Pod" in client.get(f"/api/v1/requests/{row.pk}/manifest/").content.decode()
    assert client.get(f"/api/v1/requests/{row.pk}/manifest/?format=json").json()[0]["kind"] == "Pod"
    assert client.get(f"/api/v1/requests/{row.pk}/manifest/?kind=nonsense").status_code == 400


def test_only_what_can_be_done_is_offered(world: World) -> None:
    row = world.ask("llama", 9)
    member, operator = as_user(world.member), as_user(world.operator)
    path = f"/requests/{row.pk}/"
    offered = lambda client: set(re.findall(rf'action="{path}([a-z-]+)/"', client.get(path).content.decode()))  # noqa: E731
    assert offered(member) == {"withdraw", "comment"}
    assert offered(operator) == {"withdraw", "comment", "approve", "reject"}
    access_requests.approve(world.operator, row.pk, world.now)
    assert offered(member) == {"withdraw", "comment", "extend", "resize"}
    access_requests.resize(world.member, row.pk, world.now, 12)
    assert offered(operator) == {"withdraw", "comment", "extend", "resize", "decide-change"}
    access_requests.withdraw(world.member, row.pk, world.now)
    assert offered(member) == {"comment"}


def test_a_step_that_came_too_late_says_so_and_keeps_what_was_written(world: World) -> None:
    row = world.ask("llama", 9)
    access_requests.withdraw(world.member, row.pk, world.now)
    answer = as_user(world.operator).post(f"/requests/{row.pk}/approve/", {"reason": "Go ahead, the launch is near."})
    shown = text(answer, 409)
    assert "This request was withdrawn and cannot be approved. Your change was not saved." in shown
    assert "Your text: “Go ahead, the launch is near.”" in shown
    assert re.search(r'<textarea class="input input--area"\s+id="id_text"', answer.content.decode())
    assert "Go ahead, the launch is near.</textarea>" in answer.content.decode()
    assert AccessRequestStep.objects.filter(request=row, kind="approve").count() == 0


def test_a_field_that_is_wrong_in_a_step_is_named_there(world: World) -> None:
    row = world.ask("llama", 2)
    client = as_user(world.member)
    shown = text(client.post(f"/requests/{row.pk}/extend/", {"hours": "9999", "unit": "days", "reason": "Later."}), 400)
    assert "Enter 1 to 87,840 hours." in shown
    row = world.ask("other", 9)
    page = as_user(world.operator).post(f"/requests/{row.pk}/reject/", {"reason": " "})
    assert "A reason is required. The team reads it." in text(page, 400)
    assert 'aria-describedby="reason-approve_error"' in page.content.decode()


def test_every_state_has_a_page_and_a_row(world: World) -> None:
    rows = busy(world)
    client = as_user(world.operator)
    for row in rows.values():
        text(client.get(f"/requests/{row.pk}/"))
    shown = text(client.get("/requests/?way=all"))
    for row in rows.values():
        assert row.name in shown
    assert "4 of 8 slots" in shown
    assert "3 replicas of 8 slots would have to land" not in shown
    assert "4 replicas of 8 slots would have to land, and 3 could." in shown
    page = text(client.get(f"/requests/{rows['short'].pk}/"))
    assert "No longer schedulable as granted" in page
    assert "Would no longer schedule · Muster" in page


def test_the_list_is_cut_and_filtered(world: World) -> None:
    rows = busy(world)
    client = as_user(world.operator)
    names = lambda query: set(re.findall(r'data-key="request-(\d+)"', client.get(f"/requests/{query}").content.decode()))  # noqa: E731
    ids = {name: str(row.pk) for name, row in rows.items()}
    assert names("") == {ids["active"], ids["draft"], ids["short"], ids["waiting"]}
    assert names("?way=waiting") == {ids["waiting"], ids["active"]}
    assert names("?way=short") >= {ids["short"]}
    assert names("?way=over") == {ids["rejected"], ids["withdrawn"]}
    assert names("?way=all&state=draft") == {ids["draft"]}
    assert names("?team=none-such") == set()
    assert "No request matches this view" in text(client.get("/requests/?team=none-such"))


def test_empty_pages_say_what_comes_next(world: World) -> None:
    assert "Create request" in text(as_user(world.member).get("/requests/"))
    stranger = as_user(a_user("sam"))
    assert "You are not in a team yet" in text(stranger.get("/requests/"))
    assert "You are not in a team yet" in text(stranger.get("/requests/new/"))
    assert "You are not in a team yet" in text(stranger.get("/teams/"))
    assert "No requests to decide" in text(as_user(world.operator).get("/approvals/"))
    assert "No requests in this window" in text(as_user(world.operator).get("/requests/numbers/"))
