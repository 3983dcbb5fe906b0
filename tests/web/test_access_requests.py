"""The pages about requests: who sees and does what, what stands on them, and that nothing typed is ever lost."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client

from fleet.models import AccessRequest, AccessRequestStep, Notice, Role, Team
from fleet.services import access_requests
from tests.asking import World, a_world, busy
from tests.factories import a_team, a_user

pytestmark = pytest.mark.django_db
FORM = {
    "class": "full-h100", "team": "research", "namespace": "research", "name": "llama", "image": "registry.example/llama:3",
    "replicas": "2", "gpus": "4", "hours": "30", "unit": "days", "purpose": "Chat.", "do": "submit",
}  # fmt: skip


@pytest.fixture
def world(db: None) -> World:
    return a_world()


def as_user(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status, answer.content.decode()[:3000]
    page = re.sub(r"<(script|style|template)\b.*?</\1>|<[^>]+>", " ", answer.content.decode(), flags=re.S)
    return re.sub(r"\s+", " ", unescape(page)).replace("\xa0", " ")


# --- who may what -------------------------------------------------------------------------------------------------

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


# --- the form -----------------------------------------------------------------------------------------------------


def test_while_typing_the_form_says_whether_it_fits_and_who_decides(world: World) -> None:
    client = as_user(world.member)
    asked = {name: value for name, value in FORM.items() if name != "do"}
    shown = text(client.get("/requests/new/", asked, headers={"HX-Request": "true"}))
    assert "8 replicas of 4 slots could land now" in shown
    assert "Fits 2 replicas of 4: 8 slots." in shown
    assert "Granted immediately Research has 0 replicas of this class; 3 need no approval." in shown
    shown = text(client.get("/requests/new/", asked | {"replicas": "9"}, headers={"HX-Request": "true"}))
    assert "Does not fit now 8 of 9 replicas could land" in shown
    assert "Needs approval The team would have 9 replicas of this class; 3 need no approval." in shown
    assert "Submit for approval" in shown
    assert not AccessRequest.objects.exists()


def test_the_size_decides_about_the_room(world: World) -> None:
    shown = text(as_user(world.member).get("/requests/new/?class=full-h100&gpus=8"))
    assert "4 replicas of 8 slots could land now" in shown
    assert "1 slot 32 could land" in shown


def test_an_untouched_field_is_not_wrong(world: World) -> None:
    client = as_user(world.member)
    page = client.get("/requests/new/?class=full-h100").content.decode()
    assert "aria-invalid" not in page
    partial = client.get(
        "/requests/new/", FORM | {"name": "", "image": "not an image"}, headers={"HX-Request": "true"}
    ).content.decode()
    assert partial.count("aria-invalid") == 1
    assert "is not a valid image: use registry/name:tag." in partial


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"class": "none-such"}, "Class none-such not found."),
        ({"team": "others"}, "Choose one of your teams."),
        ({"name": "No Name"}, "is not a valid DNS label"),
        ({"image": "a b"}, "is not a valid image"),
        ({"replicas": "0"}, "Enter 1 to 10,000 replicas."),
        ({"replicas": "many"}, "Enter a whole number."),
        ({"gpus": "3"}, "This class has 1, 2, 4, 8 slots per replica."),
        ({"hours": "400"}, "This class is granted for at most 2160 hours."),
        ({"hours": "x"}, "Enter a whole number."),
        ({"namespace": "kube-system"}, "is not a namespace of Research"),
        ({"purpose": "x" * 2001}, "Use at most 2,000 characters."),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_nothing_is_kept(world: World, change: dict[str, str], sentence: str) -> None:
    a_team("others")
    # a second namespace, for with one only the form chooses it by itself
    Team.objects.filter(slug="research").update(namespaces=["research", "lab"])
    answer = as_user(world.member).post("/requests/new/", FORM | change)
    shown = text(answer, 400)
    assert sentence in shown
    assert "Nothing was saved: 1 field needs fixing." in shown
    assert "Chat." in shown or "purpose" in change
    assert not AccessRequest.objects.exists()


def test_page_and_api_refuse_the_same(world: World) -> None:
    page = as_user(world.member)
    body = {
        "team": "research",
        "workload_class": "full-h100",
        "namespace": "research",
        "name": "No",
        "replicas": 0,
        "gpus": 3,
        "image": "a b",
        "hours": 9000,
    }
    answer = page.post("/api/v1/requests/", body, content_type="application/json")
    assert answer.status_code == 400
    refused = {field: sentences[0] for field, sentences in answer.json()["errors"].items()}
    assert set(refused) == {"name", "replicas", "gpus", "image", "hours"}
    result = FORM | {"name": "No", "replicas": "0", "gpus": "3", "image": "a b", "hours": "9000", "unit": "hours"}
    shown = text(page.post("/requests/new/", result), 400)
    for sentence in refused.values():
        assert sentence in shown


def test_a_draft_is_kept_edited_and_submitted(world: World) -> None:
    client = as_user(world.member)
    client.post("/requests/new/", FORM | {"do": "draft"})
    row = AccessRequest.objects.get()
    assert (row.state, row.gpus, row.hours, row.image) == ("draft", 4, 720, "registry.example/llama:3")
    page = client.get(f"/requests/{row.pk}/edit/").content.decode()
    assert 'value="30"' in page
    shown = text(client.post(f"/requests/{row.pk}/edit/", FORM | {"replicas": "5"}, follow=True))
    assert "Submitted for approval." in shown
    row.refresh_from_db()
    assert (row.state, row.replicas) == ("submitted", 5)
    assert "Only a draft can be edited" in text(client.get(f"/requests/{row.pk}/edit/", follow=True))


# --- one request --------------------------------------------------------------------------------------------------


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
    assert "kubectl apply -f llama-deployment.yaml" in shown
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


# --- the queue ----------------------------------------------------------------------------------------------------


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


# --- teams --------------------------------------------------------------------------------------------------------


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
        ({"slug": "research"}, "There is a team research already."),
        ({"name": ""}, "Give a name"),
        ({"namespaces": "Kube_System"}, "is not a valid namespace"),
        ({"namespaces": "research"}, "research belongs to Research."),
        ({"max_replicas": "-1"}, "Enter a whole number"),
        ({"max_replicas": "99999"}, "Write 0 to 10,000"),
    ],
)
def test_what_is_wrong_with_a_team(world: World, change: dict[str, str], sentence: str) -> None:
    fields = {"slug": "vision", "name": "Vision", "namespaces": "vision", "max_replicas": "4", "sso_group": ""}
    assert sentence in text(as_user(world.operator).post("/teams/", fields | change), 400)
    assert Team.objects.count() == 1


# --- notifications -------------------------------------------------------------------------------------------------


def test_every_step_has_one_event_in_its_own_transaction(world: World) -> None:
    busy(world)
    rows = {(notice.detail["step"], notice.detail["for"]) for notice in Notice.objects.filter(kind="request")}
    assert rows == {
        ("submit", "approvers"),
        ("approve", "team"),
        ("reject", "team"),
        ("withdraw", "approvers"),
        ("resize", "approvers"),
        ("no_room", "team"),
    }
    titles = set(Notice.objects.filter(kind="request").values_list("title", flat=True))
    assert "Research asks for 5 × Full H100, production inference" in titles
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
