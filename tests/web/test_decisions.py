"""Forms of operators: waivers on a cluster's page, maintenance and declared counts on a node's."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from fleet.models import AuditEntry, ExpectedGpus, Maintenance, WaiverRow
from tests.factories import a_cluster, a_node

pytestmark = pytest.mark.django_db
OFF = {"id": "cuda_works", "number": 4, "status": "not_enabled", "own_status": None, "reason": "Nothing could show it.",
       "remedy": "Install the operator.\nOr waive it.", "evidence": [], "rests_on": [], "waiver": None}  # fmt: skip


def text_of(client: Client, url: str) -> str:
    return client.get(url).content.decode()


def test_a_cluster_says_once_what_to_turn_on_and_takes_a_waiver(reader: Client) -> None:
    for name in ("n1", "n2"):
        a_node(name, rungs=[OFF])
    page = text_of(reader, "/clusters/east/")
    assert re.search(r"not enabled on\s+(<[^>]+>)?2(<[^>]+>)?\s*nodes", page)
    assert page.count("Install the operator.") == 1
    answer = reader.post("/clusters/east/waivers/", {"rung": "cuda_works", "reason": "Tested manually."}, follow=True)
    assert "cuda_works is waived in east" in answer.content.decode()
    assert "Tested manually." in text_of(reader, "/clusters/east/")
    reader.post("/clusters/east/waivers/cuda_works/withdraw/")
    assert not WaiverRow.objects.exists()
    assert AuditEntry.objects.count() == 2


def test_a_waiver_without_a_reason_is_refused_with_a_sentence(reader: Client) -> None:
    a_cluster("east")
    answer = reader.post("/clusters/east/waivers/", {"rung": "cuda_works", "reason": " "}, follow=True)
    assert "A reason is required." in answer.content.decode()
    assert not WaiverRow.objects.exists()


def test_a_node_goes_into_maintenance_and_back(reader: Client) -> None:
    a_node("n1")
    reader.post("/nodes/east/n1/maintenance/", {"reason": "New fans.", "until": ""})
    assert Maintenance.objects.get().reason == "New fans."
    assert "Undo" in reader.get("/nodes/east/n1/").content.decode()
    reader.post("/nodes/east/n1/maintenance/end/")
    assert not Maintenance.objects.exists()
    bad = reader.post("/nodes/east/n1/maintenance/", {"reason": "x", "until": "tomorrow"})
    assert bad.status_code == 302
    assert not Maintenance.objects.exists()


def test_a_count_is_declared_and_learned_again(reader: Client) -> None:
    a_node("n1")
    reader.post("/nodes/east/n1/expected-gpus/", {"count": "7", "reason": "Built so."})
    assert ExpectedGpus.objects.get().count == 7
    reader.post("/nodes/east/n1/expected-gpus/", {"count": "-1", "reason": "x"})
    assert ExpectedGpus.objects.get().count == 7
    reader.post("/nodes/east/n1/expected-gpus/learn/")
    assert not ExpectedGpus.objects.exists()


@pytest.mark.parametrize(
    "url",
    ["/clusters/east/waivers/", "/clusters/east/waivers/cuda_works/withdraw/", "/nodes/east/n1/maintenance/",
     "/nodes/east/n1/maintenance/end/", "/nodes/east/n1/expected-gpus/", "/nodes/east/n1/expected-gpus/learn/"],
)  # fmt: skip
def test_a_viewer_decides_nothing_and_a_look_decides_nothing(viewer: Any, url: str) -> None:
    a_node("n1")
    client = Client()
    client.force_login(viewer)
    assert client.post(url, {"rung": "cuda_works", "reason": "x", "count": "1"}).status_code == 403
    assert client.get(url).status_code == 405
    assert "Waive a rung" not in text_of(client, "/clusters/east/")
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_the_nodes_part_shows_forms_to_operators_only(role: str, viewer: Any, operator: Any) -> None:
    a_node("n1", expected=8)
    client = Client()
    client.force_login(viewer if role == "viewer" else operator)
    page = client.get("/nodes/east/n1/").content.decode()
    shown = page[page.index('id="decisions"') : page.index("</section>", page.index('id="decisions"'))]
    assert "8, learned" in shown
    assert ("Start maintenance" in shown) == (role == "operator")
    assert ("<form" in shown) == (role == "operator")
