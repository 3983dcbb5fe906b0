from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from tests.factories import NOON, a_cluster, a_gpu, a_mig_instance, a_node, a_pod, a_resource

pytestmark = pytest.mark.django_db


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [row["name"] for row in answer.json()["results"]]


def test_a_node_carries_what_the_contract_names(reader: Any) -> None:
    node = a_node("n1", labels={"a": "b"}, taints=[{"key": "k", "value": "", "effect": "NoSchedule"}])
    a_resource(node)
    row = reader.get("/api/v1/nodes/east/n1/").json()
    assert row["gpus"] == {"physical": 8, "expected": 8, "offered": 8, "source": "", "mig_instances": None}
    assert row["slots"] == {"capacity": 8, "allocatable": 8, "requested": 2, "free": 6}
    assert row["resources"][0]["name"] == "nvidia.com/gpu"
    contract = {
        "cluster", "name", "uid", "product", "family", "gpu_memory_mib", "driver_version", "cuda_version", "machine_type",
        "zone", "partitioning", "sharing", "replicas", "mode", "gpus", "slots", "resources", "verdict", "broken_rung",
        "verdict_since", "verdict_reason", "rungs", "findings", "pools", "schedulable", "taints", "labels",
        "first_seen_at", "last_seen_at", "removed_at", "stale",
    }  # fmt: skip
    assert contract <= set(row)


def test_unknown_is_null_and_never_zero_or_empty(reader: Any) -> None:
    a_node("n1", physical=None, expected=None, slots_requested=None, slots_free=None, product="", mode="", sharing="")
    row = reader.get("/api/v1/nodes/east/n1/").json()
    assert row["gpus"]["physical"] is row["slots"]["requested"] is row["slots"]["free"] is None
    assert row["product"] is row["mode"] is row["sharing"] is None


def test_nothing_is_ready_before_it_is_judged(reader: Any) -> None:
    a_node("good")
    a_node("cordoned", state="cordoned", schedulable=False)
    verdicts = {row["name"]: row["verdict"] for row in reader.get("/api/v1/nodes/").json()["results"]}
    assert verdicts == {"good": "unknown", "cordoned": "excluded"}


def test_times_are_utc(reader: Any) -> None:
    a_node("n1")
    assert reader.get("/api/v1/nodes/east/n1/").json()["state_since"] == NOON.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_pages_follow_their_cursors_and_hold_every_row_once(reader: Any) -> None:
    for number in range(25):
        a_node(f"n{number:02}", product="same", slots_free=None if number % 3 == 0 else number % 2)
    for ordering in ("name", "-name", "free", "-free", "product"):
        seen, url = [], f"/api/v1/nodes/?limit=7&ordering={ordering}"
        while url:
            answer = reader.get(url)
            seen += names(answer)
            url = answer.json()["next"]
        assert sorted(seen) == [f"n{number:02}" for number in range(25)], ordering


def test_the_limit_is_bounded(reader: Any) -> None:
    a_node("n1")
    assert names(reader.get("/api/v1/nodes/?limit=100000")) == ["n1"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("product=Tesla-T4", ["t4"]),
        ("product=Tesla-T4&product=NVIDIA-H100-80GB-HBM3", ["h100", "t4"]),
        ("product=Tesla-T4,NVIDIA-H100-80GB-HBM3", ["h100", "t4"]),
        ("product=unknown", ["odd"]),
        ("label=team%3Dvision", ["t4"]),
        ("label=team!%3Dvision", ["h100", "odd"]),
        ("label=team+in+(vision,serving)", ["h100", "t4"]),
        ("label=!team", ["odd"]),
        ("label=nvidia.com/gpu.count%3E4", ["h100"]),
        ("label=nvidia.com/gpu.count%3C4", ["t4"]),
        ("taint=dedicated", ["h100"]),
        ("resource=nvidia.com/gpu.shared", ["t4"]),
        ("q=tesla", ["t4"]),
        ("q=team%3Dserving+H100", ["h100"]),
        ("q=H100+tesla", []),
        ("cluster=east&state=full", ["h100", "odd", "t4"]),
        ("cluster=west", []),
        ("mode=Time-sliced+×4", ["t4"]),
        ("removed=true", ["gone"]),
    ],
)
def test_filters(reader: Any, query: str, found: list[str]) -> None:
    taint = [{"key": "dedicated", "value": "x", "effect": "NoSchedule"}]
    a_node("h100", labels={"team": "serving", "nvidia.com/gpu.count": "8"}, taints=taint)
    t4 = a_node("t4", product="Tesla-T4", mode="Time-sliced ×4", labels={"team": "vision", "nvidia.com/gpu.count": "1"})
    a_resource(t4, "nvidia.com/gpu.shared")
    a_node("odd", product="", labels={"nvidia.com/gpu.count": "many"})
    a_node("gone", removed_at=NOON)
    assert names(reader.get(f"/api/v1/nodes/?{query}")) == found


@pytest.mark.parametrize(
    ("query", "field"),
    [("produkt=x", "produkt"), ("ordering=colour", "ordering"), ("label=a%3Db%3Dc", ""), ("removed=perhaps", "removed")],
)
def test_a_wrong_parameter_is_400_with_its_name(reader: Any, query: str, field: str) -> None:
    answer = reader.get(f"/api/v1/nodes/?{query}")
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert field in answer.json()["errors"]


def test_a_node_that_never_was_is_404_with_a_problem(reader: Any) -> None:
    answer = reader.get("/api/v1/nodes/east/nobody/")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    assert "nobody" in answer.json()["detail"]


def test_of_two_nodes_of_one_name_the_living_one_answers(reader: Any) -> None:
    a_node("n1", uid="old", removed_at=NOON)
    a_node("n1", uid="new")
    assert reader.get("/api/v1/nodes/east/n1/").json()["uid"] == "new"


def test_a_node_that_is_gone_keeps_its_page(reader: Any) -> None:
    a_node("n1", removed_at=NOON)
    assert reader.get("/api/v1/nodes/east/n1/").json()["removed_at"].startswith("2026-11-23T12:00:00")


def test_facets_count_under_every_filter_but_their_own(reader: Any) -> None:
    a_node(product="A", zone="z1")
    a_node(product="A", zone="z2")
    a_node(product="B", zone="z1")
    found = reader.get("/api/v1/nodes/facets/?product=A").json()["facets"]
    assert found["product"] == [{"value": "A", "count": 2}, {"value": "B", "count": 1}]
    assert found["zone"] == [{"value": "z1", "count": 1}, {"value": "z2", "count": 1}]
    assert reader.get("/api/v1/nodes/facets/?produkt=A").status_code == 400


def test_facets_keep_values_that_the_filter_leaves_empty(reader: Any) -> None:
    a_node(product="A", zone="z1")
    a_node(product="B", zone="z2")
    found = reader.get("/api/v1/nodes/facets/?product=A").json()["facets"]
    assert {"value": "z2", "count": 0} in found["zone"]


def test_csv_has_every_row_unpaged_and_an_empty_cell_for_unknown(reader: Any) -> None:
    for number in range(3):
        a_node(f"n{number}", slots_requested=None)
    answer = reader.get("/api/v1/nodes/?format=csv&limit=1")
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert answer["Content-Type"].startswith("text/csv")
    assert [row["name"] for row in rows] == ["n0", "n1", "n2"]
    assert rows[0]["slots.requested"] == ""
    assert rows[0]["gpus.physical"] == "8"


def test_csv_of_nothing_still_has_its_header(reader: Any) -> None:
    body = b"".join(reader.get("/api/v1/nodes/?format=csv").streaming_content)
    assert body.startswith(b"cluster,name,uid")


def test_csv_runs_no_formula_in_a_spreadsheet(reader: Any) -> None:
    a_node("n1", zone="=HYPERLINK(1)")
    assert b"'=HYPERLINK(1)" in b"".join(reader.get("/api/v1/nodes/?format=csv").streaming_content)


def test_pods_of_a_node_holders_first(reader: Any) -> None:
    node = a_node("n1")
    a_pod(node, "plugin", component="device-plugin", requests={}, slots=0)
    a_pod(node, "idle", requests={}, slots=0)
    a_pod(node, "big", slots=4)
    a_pod(node, "small", slots=1)
    a_pod(node, "gone", removed_at=NOON)
    rows = reader.get("/api/v1/nodes/east/n1/pods/").json()["results"]
    assert [row["name"] for row in rows] == ["big", "small", "idle", "plugin"]


def test_the_list_takes_a_constant_number_of_queries(reader: Any, django_assert_max_num_queries: Any) -> None:
    for _ in range(3):
        a_resource(a_node())
    reader.get("/api/v1/nodes/")
    with django_assert_max_num_queries(6):
        reader.get("/api/v1/nodes/")
    for _ in range(30):
        a_resource(a_node())
    with django_assert_max_num_queries(6):
        assert len(names(reader.get("/api/v1/nodes/"))) == 33


def test_gpus_are_cards_and_mig_instances_are_theirs(reader: Any) -> None:
    node = a_node("n1")
    a_gpu(node, 0, uuid="GPU-1")
    a_gpu(node, 1)
    a_mig_instance(node, gpu_uuid="GPU-1")
    gpus = reader.get("/api/v1/gpus/").json()["results"]
    assert [gpu["uuid"] for gpu in gpus] == ["GPU-1", None]
    instances = reader.get("/api/v1/mig-instances/?profile=1g.10gb").json()["results"]
    assert instances[0]["gpu_uuid"] == "GPU-1"
    assert instances[0]["uuid"] is None
    facets = reader.get("/api/v1/gpus/facets/").json()["facets"]
    assert facets["product"] == [{"value": "NVIDIA-H100-80GB-HBM3", "count": 2}]


def test_gpus_of_a_node_that_is_gone_are_gone(reader: Any) -> None:
    a_gpu(a_node("n1", removed_at=NOON))
    assert reader.get("/api/v1/gpus/").json()["results"] == []


def test_a_stale_cluster_makes_its_nodes_stale(reader: Any) -> None:
    a_node("n1", a_cluster("west", read_at=NOON.replace(year=2020)))
    a_node("n2", a_cluster("east"))
    rows = {row["name"]: row["stale"] for row in reader.get("/api/v1/nodes/").json()["results"]}
    assert rows == {"n1": True, "n2": False}
