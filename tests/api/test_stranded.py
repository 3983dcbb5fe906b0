"""GET capacity/stranded/: real snapshots through the database, reasons, the smallest move, and refused questions."""

from __future__ import annotations

import csv
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from msgspec.structs import replace

from fleet.domain.classes.workload import ClassSpec
from fleet.domain.label_selectors import parse as selector
from fleet.domain.pools.policy import PoolSpec
from fleet.domain.pools.selection import PoolSelector
from fleet.domain.snapshot import ContainerSnapshot, PodSnapshot
from fleet.models import Cluster, Node, Pod, StrandedDay
from fleet.services import classes, pools, stranded_days
from tests.api.test_explain import NO_OBJECTS, SIZES, record
from tests.domain.placement.scheduler import recordings
from tests.services.snapshots import a_node

pytestmark = pytest.mark.django_db
URL = "/api/v1/capacity/stranded/"


def running(name: str, node: str, gpus: int, *, owner: str = "ReplicaSet", cpu: str = "1") -> PodSnapshot:
    manifest = {
        "metadata": {"name": name, "namespace": "team-a", "uid": name},
        "spec": {
            "nodeName": node,
            "containers": [{"name": "m", "resources": {"requests": {"cpu": cpu}, "limits": {"nvidia.com/gpu": str(gpus)}}}],
        },
    }
    container = ContainerSnapshot(name="m", requests={"nvidia.com/gpu": str(gpus)}, state="running", ready=True)
    pod = recordings.pod(manifest, NO_OBJECTS)
    return replace(pod, phase="Running", owner_kind=owner, owner_name="web", containers=(container,))


def fleet(operator: Any, *pods: PodSnapshot, gpus: int = 4) -> Cluster:
    """Three ready nodes of eight GPUs in pool h100, and a class of so many GPUs."""
    cluster = Cluster.objects.create(name="east")
    record(cluster, *(a_node(name, allocatable=SIZES) for name in ("n1", "n2", "n3")), pods=pods)
    Node.objects.update(verdict="ready")
    now = timezone.now()
    Cluster.objects.update(read_at=now)
    pools.save(
        operator, PoolSpec(slug="h100", title="H100", selector=PoolSelector(labels=selector("nvidia.com/gpu.present=true"))), now
    )
    classes.save(operator, ClassSpec(slug="train", title="Training", gpus=gpus, pools=("h100",)), now)
    return cluster


def ask(client: Any, query: str = "", status: int = 200) -> dict[str, Any]:
    answer = client.get(f"{URL}{query}")
    assert answer.status_code == status, answer.content
    result: dict[str, Any] = answer.json()
    return result


def test_the_answer_has_the_shape_of_the_contract(reader: Any, operator: Any) -> None:
    fleet(operator, running("a", "n1", 3), running("b", "n1", 2), running("c", "n2", 6), running("d", "n3", 8, owner=""))
    result = ask(reader)
    assert [(row["by"], row["name"]) for row in result["results"]] == [
        ("product", "NVIDIA-H100-80GB-HBM3"),
        ("pool", "h100"),
        ("class", "train"),
    ]
    (row,) = ask(reader, "?by=class")["results"]
    assert row == {
        "by": "class",
        "name": "train",
        "title": "Training",
        "free_gpus": 5,
        "stranded_gpus": 5,
        "nodes": 3,
        "unknown_nodes": 0,
        "reasons": [{"id": "fragment", "text": "At most 3 free on one node; 4 per pod is wanted.", "gpus": 5}],
        "smallest_move": {
            "text": "Move team-a/b (2 GPUs) from n1 to n2: frees 1 replica of 4 GPUs (Training).",
            "pods": [{"cluster": "east", "namespace": "team-a", "name": "b", "gpus": 2, "from": "n1", "to": "n2"}],
            "frees": {"replicas": 1, "gpus": 4, "title": "Training", "workload_class": "train"},
        },
        "note": None,
    }
    assert result["as_of"] is not None
    assert any("Quota" in text for text in result["not_evaluated"])


def test_what_pods_of_the_last_days_requested_is_demand_too(reader: Any, operator: Any) -> None:
    fleet(operator, running("a", "n1", 7), running("b", "n2", 8), running("c", "n3", 8), gpus=8)
    (pool,) = ask(reader, "?by=pool")["results"]
    assert pool["stranded_gpus"] == 1
    seen = {"scheduling": {"requests": {"nvidia.com/gpu": 1}}}
    common = {
        "cluster": Cluster.objects.get(),
        "node": Node.objects.get(name="n1"),
        "namespace": "t",
        "requests": {"nvidia.com/gpu": 1},
    }
    now = timezone.now()
    Pod.objects.create(uid="old", name="old", snapshot=seen, removed_at=now - timedelta(days=31), **common)
    Cluster.objects.update(changes=1)
    assert ask(reader, "?by=pool")["results"][0]["stranded_gpus"] == 1
    Pod.objects.create(uid="gone", name="gone", snapshot=seen, removed_at=now - timedelta(days=3), **common)
    Cluster.objects.update(changes=2)
    assert ask(reader, "?by=pool")["results"][0]["stranded_gpus"] == 0


def test_a_node_that_is_not_ready_strands_its_gpus_and_cpu_that_is_gone_too(reader: Any, operator: Any) -> None:
    cluster = fleet(operator, running("busy", "n1", 4, cpu="189"), running("full", "n3", 8, cpu="8"))
    Node.objects.filter(name="n2").update(verdict="not_ready")
    Cluster.objects.filter(pk=cluster.pk).update(changes=7)
    (row,) = ask(reader, "?by=pool")["results"]
    assert {reason["id"]: reason["gpus"] for reason in row["reasons"]} == {"verdict": 8, "resources": 4}
    assert row["smallest_move"] is None
    assert row["note"] == "No move of up to 3 pods helps."


def test_unknown_is_counted_apart(reader: Any, operator: Any) -> None:
    cluster = Cluster.objects.create(name="east")
    record(cluster, a_node("n1", allocatable={"nvidia.com/gpu": "8"}))
    (row,) = ask(reader)["results"]
    assert (row["free_gpus"], row["nodes"], row["unknown_nodes"]) == (0, 1, 1)


def test_refused_questions_and_csv(reader: Any, operator: Any) -> None:
    assert "by" in ask(reader, "?by=team", status=400)["errors"]
    assert "pool" in ask(reader, "?pool=x", status=400)["errors"]
    fleet(operator)
    answer = reader.get(f"{URL}?format=csv")
    rows = list(csv.DictReader(b"".join(answer.streaming_content).decode().splitlines()))
    assert [row["by"] for row in rows] == ["product", "pool", "class"]
    assert rows[0]["free_gpus"] == "24"


def test_the_page_says_the_answer_first_and_never_moves(reader: Any, operator: Any) -> None:
    fleet(operator, running("a", "n1", 3), running("b", "n1", 2), running("c", "n2", 6), running("d", "n3", 8, owner=""))
    page = " ".join(reader.get("/capacity/stranded/").content.decode().split())
    assert "<span data-value>0</span> of 5 free GPUs are stranded" in page, "pods of 2 and 3 GPUs run there and are wanted"
    assert "<b>5</b> of 5 free" in page, "the class alone cannot use them"
    assert "Move team-a/b (2 GPUs) from n1 to n2: frees 1 replica of 4 GPUs (Training)." in page
    assert "Muster changes nothing." in page
    assert reader.post("/capacity/stranded/").status_code == 405
    part = reader.get("/capacity/stranded/", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part


def test_the_empty_page_says_so(reader: Any) -> None:
    assert "No whole GPUs are known" in reader.get("/capacity/stranded/").content.decode()


def test_every_hour_is_a_sample_and_every_day_a_row(reader: Any, operator: Any) -> None:
    fleet(operator, running("p1", "n1", 6), running("p2", "n2", 6), running("p3", "n3", 6))
    now = timezone.now()
    assert stranded_days.record(now) == 3, "product, pool and class"
    assert stranded_days.record(now + timedelta(minutes=10)) == 0, "too soon for another sample"
    assert stranded_days.record(now + timedelta(minutes=40)) == 3
    assert stranded_days.record(now + timedelta(hours=2)) == 0, "no cluster was read in the hour before: unknown, not zero"
    answer = reader.get(f"{URL}history/?by=pool&days=3").json()["results"]
    assert {(row["by"], row["name"]) for row in answer} == {("pool", "h100")}
    assert sum(row["samples"] for row in answer) == 2
    assert {(row["free_gpus"], row["stranded_gpus"], row["most_stranded"]) for row in answer} == {(6.0, 6.0, 6)}
    assert answer[-1]["reasons"] == {"fragment": 6}
    rows = list(csv.DictReader(reader.get(f"{URL}history/?format=csv").getvalue().decode().splitlines()))
    assert {row["by"] for row in rows} == {"product", "pool", "class"}


@pytest.mark.parametrize("query", ["?days=0", "?days=366", "?days=x", "?by=node", "?other=1"])
def test_a_history_that_cannot_be_given_is_refused(reader: Any, query: str) -> None:
    assert reader.get(f"{URL}history/{query}").status_code == 400


def test_the_page_shows_the_days_of_a_row(reader: Any, operator: Any) -> None:
    fleet(operator, running("p1", "n1", 6), running("p2", "n2", 6), running("p3", "n3", 6))
    now = timezone.now()
    stranded_days.record(now)
    StrandedDay.objects.create(
        day=now.date() - timedelta(days=3), kind="pool", name="h100", samples=2, free_sum=20, stranded_sum=8, most_stranded=7,
        free_gpus=10, stranded_gpus=1, at=now - timedelta(days=3),
    )  # fmt: skip
    page = reader.get("/capacity/stranded/").content.decode()
    assert "5 on average in 2 days, at most 7" in page
