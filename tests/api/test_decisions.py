"""Operators decide over REST; every role reads; each decision has a reason and an entry in the audit log."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from fleet.models import AuditEntry, ExpectedGpus, Maintenance, WaiverRow
from tests.factories import a_cluster, a_node

pytestmark = pytest.mark.django_db
WAIVERS, NODE = "/api/v1/clusters/east/waivers/", "/api/v1/nodes/east/n1/"


@pytest.fixture
def operating(operator: Any) -> Client:
    client = Client()
    client.force_login(operator)
    return client


def send(client: Client, method: str, url: str, **body: Any) -> Any:
    return getattr(client, method)(url, body, content_type="application/json")


def test_a_waiver_is_granted_listed_and_withdrawn(operating: Client) -> None:
    a_cluster("east")
    made = send(operating, "post", WAIVERS, rung="cuda_works", reason="No validator here.")
    assert made.status_code == 201
    assert (made.json()["rung"], made.json()["by"]) == ("cuda_works", "otto")
    assert [row["rung"] for row in operating.get(WAIVERS).json()["results"]] == ["cuda_works"]
    assert send(operating, "delete", f"{WAIVERS}cuda_works/").status_code == 204
    assert send(operating, "delete", f"{WAIVERS}cuda_works/").status_code == 404
    assert [entry.action for entry in AuditEntry.objects.order_by("pk")] == ["waiver.grant", "waiver.withdraw"]
    assert AuditEntry.objects.order_by("pk").last().detail["before"]["reason"] == "No validator here."  # type: ignore[union-attr]


def test_a_waiver_needs_a_rung_and_a_reason(operating: Client) -> None:
    a_cluster("east")
    assert send(operating, "post", WAIVERS, rung="moon_phase", reason="x").status_code == 400
    assert send(operating, "post", WAIVERS, rung="cuda_works", reason=" ").status_code == 400
    assert send(operating, "post", WAIVERS, rung="cuda_works").status_code == 400
    assert not WaiverRow.objects.exists()
    assert not AuditEntry.objects.exists()
    assert send(operating, "post", "/api/v1/clusters/west/waivers/", rung="cuda_works", reason="x").status_code == 404


def test_maintenance_begins_shows_and_ends(operating: Client) -> None:
    a_node("n1")
    url = f"{NODE}maintenance/"
    assert operating.get(url).status_code == 404
    made = send(operating, "post", url, reason="New fans.", until="2099-01-01T00:00:00Z")
    assert made.status_code == 400, "so long is no maintenance"
    assert send(operating, "post", url, reason="New fans.").status_code == 201
    assert operating.get(url).json()["reason"] == "New fans."
    assert send(operating, "delete", url).status_code == 204
    assert not Maintenance.objects.exists()
    assert [entry.action for entry in AuditEntry.objects.order_by("pk")] == ["maintenance.begin", "maintenance.end"]


def test_a_count_is_declared_and_withdrawn(operating: Client) -> None:
    a_node("n1")
    url = f"{NODE}expected-gpus/"
    assert send(operating, "post", url, count=7, reason="One was taken out.").json()["count"] == 7
    assert send(operating, "post", url, count=-1, reason="x").status_code == 400
    assert send(operating, "delete", url).status_code == 204
    assert not ExpectedGpus.objects.exists()


@pytest.mark.parametrize("url", [WAIVERS, f"{NODE}maintenance/", f"{NODE}expected-gpus/"])
def test_readers_may_look_and_not_decide(viewer: Any, url: str) -> None:
    a_node("n1")
    reader = Client()
    reader.force_login(viewer)
    assert reader.get(url).status_code in (200, 404)
    answer = reader.post(url, {"rung": "cuda_works", "reason": "x", "count": 1}, content_type="application/json")
    assert answer.status_code == 403
    assert not AuditEntry.objects.exists()
