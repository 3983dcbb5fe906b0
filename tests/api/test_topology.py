"""POST topology/groups/ and GET topology/: labels of a provider through the database, the page, and refused questions."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from fleet.models import Cluster, Node
from tests.api.test_explain import SIZES, record
from tests.services.snapshots import a_node

pytestmark = pytest.mark.django_db
URL = "/api/v1/topology/groups/"
RACK = "cloud.google.com/gce-topology-subblock"


@pytest.fixture
def east() -> Cluster:
    cluster = Cluster.objects.create(name="east")
    nodes = [a_node(f"n{number}", allocatable=SIZES, labels={RACK: f"r{number // 2}"}) for number in range(4)]
    nodes.append(a_node("unplaced", allocatable=SIZES))
    nodes.append(a_node("ill", allocatable=SIZES, labels={RACK: "r0"}))
    record(cluster, *nodes)
    Node.objects.exclude(name="ill").update(verdict="ready")
    Node.objects.filter(name="ill").update(verdict="not_ready")
    Cluster.objects.update(read_at=timezone.now())
    return cluster


def ask(client: Any, status: int = 200, **question: Any) -> dict[str, Any]:
    answer = client.post(URL, question, content_type="application/json")
    assert answer.status_code == status, answer.content
    result: dict[str, Any] = answer.json()
    return result


def test_the_answer_has_the_shape_of_the_contract(reader: Any, east: Cluster) -> None:
    result = ask(reader, gpus=16, shape="rack")
    first = result["groups"][0]
    assert [node["name"] for node in first["nodes"]] == ["n0", "n1"]
    assert (first["domain"], first["label"], first["gpus"], first["gpus_per_node"]) == ("r0", RACK, 16, 8)
    assert [loss["id"] for loss in first["loses"]] == ["nvlink_domain"]
    assert f"podset-required-topology: {RACK}" in first["request"]
    assert [group["domain"] for group in result["groups"]] == ["r0", "r1"]
    assert (result["looked_at"], result["not_ready"], result["unlabelled"]) == (5, 1, 1)
    assert result["as_of"] is not None
    assert ask(reader, gpus=24, shape="rack")["groups"] == []
    assert ask(reader, gpus=40)["groups"][0]["shape"] == "any"


def test_refused_questions(reader: Any, east: Cluster) -> None:
    assert "gpus" in ask(reader, 400, gpus=0)["errors"]
    assert "shape" in ask(reader, 400, gpus=8, shape="galaxy")["errors"]
    assert "cluster" in ask(reader, 400, gpus=8, cluster="west")["errors"]


def test_the_picture_has_every_node_in_its_rack(reader: Any, east: Cluster) -> None:
    result = reader.get("/api/v1/topology/").json()
    assert [(rack["rack"], [node["name"] for node in rack["nodes"]]) for rack in result["racks"]] == [
        (None, ["unplaced"]),
        ("r0", ["ill", "n0", "n1"]),
        ("r1", ["n2", "n3"]),
    ]
    by_id = {level["id"]: level for level in result["levels"]}
    assert (by_id["rack"]["nodes"], by_id["rack"]["domains"], by_id["rack"]["keys"]) == (5, 2, [RACK])
    assert by_id["block"]["nodes"] == 0


def test_the_page_names_nodes_and_losses(reader: Any, east: Cluster) -> None:
    page = " ".join(reader.get("/topology/?gpus=16&shape=rack").content.decode().split())
    assert "2 × 8 GPUs in Rack r0" in page
    assert "/nodes/east/n1/" in page
    assert "No label states an NVLink domain" in page
    assert "no label states it" in page
    refused = reader.get("/topology/?gpus=0").content.decode()
    assert "Gpus" in refused
    assert "No group of 99 free GPUs" in reader.get("/topology/?gpus=99").content.decode()
    assert reader.post("/topology/").status_code == 405


def test_an_empty_fleet_has_no_racks(reader: Any) -> None:
    assert "Racks are drawn once" in reader.get("/topology/").content.decode()
