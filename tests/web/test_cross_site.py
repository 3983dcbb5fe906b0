"""What a page elsewhere makes a signed-in browser send, and a prepared session: both change nothing."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from fleet.models import AuditEntry, Role, User
from fleet.services.sign_in import create_owner_link
from tests.factories import a_cluster, a_node, a_pool, a_team, a_user
from tests.web.test_hostile_input import ROUTES, SEGMENTS

pytestmark = pytest.mark.django_db
PASSWORD = "a long enough password 7"
NOT_OURS = ("/static/",)


def addresses() -> list[tuple[str, str]]:
    """Every route with parts that exist, as far as such parts do."""
    rows = []
    for name, address in ROUTES:
        filled = address.replace(SEGMENTS["int"], "1").replace(SEGMENTS["slug"], "research").replace(SEGMENTS["cluster"], "east")
        rows.append((name, filled.replace(SEGMENTS["str"], "n1")))
    return [row for row in rows if not re.search(r"[<(\\]", row[1]) and not row[1].startswith(NOT_OURS)]


@pytest.fixture
def browser() -> Client:
    """A browser that checks, signed in as administrator, before a fleet with something in it."""
    node = a_node("n1", a_cluster("east"))
    a_pool("research", node)
    admin = a_user("ada", Role.ADMIN)
    a_team("research", admin)
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(admin)
    return client


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_no_address_changes_anything_for_a_form_of_another_site(browser: Client, method: str) -> None:
    """Without the token that only Muster's pages have: refused before anything is read, or no such method there."""
    entries, let_in = AuditEntry.objects.count(), []
    asked = addresses()
    assert len(asked) > 150
    for name, address in asked:
        answer = getattr(browser, method)(address, "user=mia", content_type="application/x-www-form-urlencoded")
        if answer.status_code not in (403, 404, 405):
            let_in.append((name, address, answer.status_code))
    assert let_in == []
    assert AuditEntry.objects.count() == entries
    assert browser.get("/").status_code == 200, "still signed in"


def test_a_token_of_another_origin_is_not_enough(browser: Client) -> None:
    browser.get("/teams/")
    token = browser.cookies["muster_csrf"].value
    for origin in ("https://evil.example", "null", "http://testserver.evil.example"):
        answer = browser.post("/teams/", {"csrfmiddlewaretoken": token, "slug": "x", "name": "X"}, headers={"Origin": origin})
        assert answer.status_code == 403, origin


def test_no_get_changes_anything(browser: Client) -> None:
    """A link or an image elsewhere makes a browser send any GET. What is read is on record only where it is an export."""
    users, entries = set(User.objects.values_list("pk", "role", "is_active")), AuditEntry.objects.count()
    for _, address in addresses():
        browser.get(address)
    assert set(User.objects.values_list("pk", "role", "is_active")) == users
    assert set(AuditEntry.objects.order_by("pk")[entries:].values_list("action", flat=True)) <= {"export.csv", "export.yaml"}
    assert browser.get("/").status_code == 200


@pytest.mark.parametrize("way", ["password", "link"])
def test_a_session_that_was_there_before_the_sign_in_is_not_the_one_after_it(way: str) -> None:
    """Session fixation: who plants a cookie in a browser does not hold the session that its owner signs in to."""
    user = a_user("mia")
    user.set_password(PASSWORD)
    user.save()
    victim = Client()
    victim.get("/sign-in/")
    session = victim.session
    session["planted"] = True
    session.save()
    victim.cookies["muster_session"] = planted = session.session_key
    if way == "password":
        victim.post("/sign-in/", {"username": "mia", "password": PASSWORD})
    else:
        link = create_owner_link("http://testserver/").removeprefix("http://testserver")
        victim.post(link)
    assert victim.get("/").status_code == 200, "signed in"
    assert victim.cookies["muster_session"].value != planted
    attacker = Client()
    attacker.cookies["muster_session"] = planted
    assert attacker.get("/").status_code == 302
