"""The form of an access request: what it answers while typing, what it refuses, and drafts."""

from __future__ import annotations

import pytest

from fleet.models import AccessRequest, Team
from tests.asking import World, a_world
from tests.factories import a_team
from tests.web.request_pages import FORM, as_user, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(db: None) -> World:
    return a_world()


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
