"""GET pending-pods/ and its page: every pod that waits with its reason, filters, and what would free most."""

from __future__ import annotations

import csv
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from msgspec.structs import replace

from fleet.domain.snapshot import PodSnapshot, Taint
from fleet.models import Cluster
from tests.api.test_explain import NO_OBJECTS, SIZES, record
from tests.domain.placement.scheduler import recordings
from tests.factories import a_team
from tests.services.snapshots import a_node

pytestmark = pytest.mark.django_db
URL = "/api/v1/pending-pods/"


def waiting(name: str, gpus: int, *, namespace: str = "research", minutes: int = 10, **spec: Any) -> PodSnapshot:
    manifest = {
        "metadata": {"name": name, "namespace": namespace, "uid": name},
        "spec": {"containers": [{"name": "m", "resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}], **spec},
    }
    pod = recordings.pod(manifest, NO_OBJECTS)
    return replace(
        pod, phase="Pending", created_at=timezone.now() - timedelta(minutes=minutes), message="0/1 nodes are available."
    )


@pytest.fixture
def east() -> Cluster:
    cluster = Cluster.objects.create(name="east")
    a_team("research")
    tainted = a_node("n1", allocatable=SIZES, taints=(Taint("dedicated", "inference", "NoSchedule"),))
    pods = (
        waiting("old", 4, minutes=120),
        waiting("young", 2, minutes=1),
        waiting("gated", 1, namespace="other", schedulingGates=[{"name": "quota"}]),
    )
    record(cluster, tainted, pods=pods)
    Cluster.objects.update(read_at=timezone.now())
    return cluster


def ask(client: Any, query: str = "", status: int = 200) -> dict[str, Any]:
    answer = client.get(f"{URL}{query}")
    assert answer.status_code == status, answer.content
    result: dict[str, Any] = answer.json()
    return result


def test_every_pod_with_its_reason_the_oldest_first(reader: Any, east: Cluster) -> None:
    result = ask(reader)
    assert [(row["name"], row["reason"]["id"], row["team"]) for row in result["results"]] == [
        ("old", "taint", "research"),
        ("gated", "gate", None),
        ("young", "taint", "research"),
    ]
    row = result["results"][0]
    assert (row["slots"], row["requests"]) == (4, {"nvidia.com/gpu": 4})
    assert row["waiting_s"] >= 7200
    assert row["scheduler_message"] == "0/1 nodes are available."
    assert row["change"]["nodes"] == 1
    assert "key: dedicated" in row["change"]["patch"]
    assert result["total"] == 3
    (change,) = result["changes"]
    assert (change["text"], change["pods"], change["nodes"]) == ("Tolerating dedicated=inference:NoSchedule.", 2, 1)


def test_filters_and_facets_agree(reader: Any, east: Cluster) -> None:
    facets = reader.get(f"{URL}facets/").json()["facets"]
    for name in ("reason", "team", "age", "cluster"):
        for entry in facets[name]:
            value = "none" if name == "team" and entry["value"] == "unknown" else entry["value"]
            assert len(ask(reader, f"?{name}={value}")["results"]) == entry["count"], (name, entry)
    assert [row["name"] for row in ask(reader, "?reason=taint&age=under 5 min")["results"]] == ["young"]
    assert "reasn" in ask(reader, "?reasn=taint", status=400)["errors"]


def test_csv_has_every_pod(reader: Any, east: Cluster) -> None:
    answer = reader.get(f"{URL}?format=csv")
    rows = list(csv.DictReader(b"".join(answer.streaming_content).decode().splitlines()))
    assert [row["name"] for row in rows] == ["old", "gated", "young"]


def test_the_page_says_what_frees_most_and_links_each_pod_to_explain(reader: Any, east: Cluster) -> None:
    page = " ".join(reader.get("/pending/").content.decode().split())
    assert "<span data-value>3</span> pods wait for GPUs" in page
    assert "<b>Tolerating dedicated=inference:NoSchedule</b> would let 2 pods land" in page
    assert "?pod=east/research/old" in page
    chosen = " ".join(reader.get("/pending/?reason=gate").content.decode().split())
    assert "/gated" in chosen
    assert "/research/old" not in chosen
    assert "Clear filters" in chosen
    assert reader.post("/pending/").status_code == 405


def test_nothing_waits(reader: Any) -> None:
    page = reader.get("/pending/").content.decode()
    assert "No pod waits for GPUs" in page
    assert ask(reader)["results"] == []
