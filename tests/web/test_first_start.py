"""The first start on real clusters: how far each was read, then three steps that go when they are done."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from fleet.collectors.session import Progress
from fleet.models import CollectionRun, Role
from fleet.services import collection_runs
from tests.factories import a_cluster, a_node, a_pool, a_rule, a_run, a_user

pytestmark = pytest.mark.django_db


def signed_in(role: Role = Role.OPERATOR) -> Client:
    client = Client()
    client.force_login(a_user(f"who-{role}", role))
    return client


def words(client: Client, path: str = "/") -> str:
    return " ".join(client.get(path).content.decode().split())


@pytest.fixture
def first_run() -> CollectionRun:
    """The first run of a cluster that goes on."""
    cluster = a_cluster("prod-eu-west", read_at=None, outcome="", taken_at=None)
    return a_run(cluster, outcome="running", finished_at=None)


def test_the_first_reading_shows_how_far_each_cluster_is(first_run: CollectionRun) -> None:
    client, write = signed_in(), collection_runs.progress_writer(first_run)
    assert "The first run has not read anything yet." in words(client)
    write(Progress("nodes", 1_200, 5_000))
    for path in ("/", "/clusters/"):
        page = words(client, path)
        assert "Reading nodes, <span data-value>1,200</span> of about 5,000" in page, path
        assert '<progress max="5000" value="1200"' in page, path
    assert "Reading the clusters for the first time" in words(client)
    write(Progress("pods", 900, None))
    assert "Reading pods, <span data-value>900</span> so far" in words(client)
    write(Progress("events", 7, None))
    assert "Reading pods" in words(client), "what takes a moment is not shown"


def test_a_refresh_is_answered_again_while_the_first_reading_goes_on(first_run: CollectionRun) -> None:
    client, write = signed_in(), collection_runs.progress_writer(first_run)
    write(Progress("nodes", 500, 5_000))
    seen = client.get("/")
    assert client.get("/", headers={"If-None-Match": seen["ETag"]}).status_code == 304
    write(Progress("nodes", 1_000, 5_000))
    assert client.get("/", headers={"If-None-Match": seen["ETag"]}).status_code == 200


def test_three_steps_are_shown_to_operators_until_each_is_done(settings: Any) -> None:
    settings.DEMO = False
    missing = [{"verb": "list", "group": "", "resource": "pods", "namespace": "", "hides": "requested slots"}]
    cluster = a_cluster("east", permissions={"missing": missing, "writes": [], "reviewed": []})
    node = a_node("n1", cluster)
    client = signed_in()
    page = words(client)
    assert "Muster may not read everything in east." in page
    assert "Show suggested pools" in page
    assert "Add a target and a rule" in page
    assert "Set up Muster" not in words(signed_in(Role.VIEWER))
    a_pool("h100", node)
    a_rule()
    page = words(client)
    assert "Show suggested pools" not in page
    assert "Show missing permissions" in page
    cluster.permissions = {"missing": [], "writes": [], "reviewed": []}
    cluster.save()
    assert "Set up Muster" not in words(client)


def test_the_steps_can_be_hidden_and_a_demo_has_none(settings: Any) -> None:
    settings.DEMO = False
    a_node("n1", a_cluster("east"))
    client = signed_in()
    assert "Set up Muster" in words(client)
    assert client.post("/setup/hide/").status_code == 302
    assert "Set up Muster" not in words(client)
    settings.DEMO = True
    assert "Set up Muster" not in words(signed_in(Role.ADMIN))
