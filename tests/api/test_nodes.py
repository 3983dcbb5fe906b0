from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest

from fleet.api.protocol.lists import csv_lines
from tests.factories import NOON, a_cluster, a_gpu, a_mig_instance, a_node, a_pod, a_resource

pytestmark = pytest.mark.django_db


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [row["name"] for row in answer.json()["results"]]


def test_a_node_carries_what_the_contract_names(reader: Any) -> None:
    node = a_node("n1", labels={"a": "b"}, taints=[{"key": "k", "value": "", "effect": "NoSchedule"}])
    a_resource(node)
    row = reader.get("/api/v1/nodes/east/n1/").json()
    gpus = {
        "physical": 8, "source": None, "expected": 8, "expected_source": "learned", "advertised": 8, "usable": None,
        "missing": 8, "missing_reason": "Not evaluated yet", "mig_instances": None,
    }  # fmt: skip
    assert row["gpus"] == gpus
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


def test_unknown_is_null_of_what_hangs_on_nodes_too(reader: Any) -> None:
    node = a_node("n1", product="", mode="", driver_version="", physical=None, expected=None, advertised_gpus=None)
    a_gpu(node, product="")
    a_mig_instance(node)
    (card,) = reader.get("/api/v1/gpus/").json()["results"]
    assert [card[name] for name in ("product", "mode", "driver_version", "uuid", "pci_bus_id", "source")] == [None] * 6
    (instance,) = reader.get("/api/v1/mig-instances/").json()["results"]
    assert instance["product"] is instance["uuid"] is instance["gpu_uuid"] is None
    gpus = reader.get("/api/v1/fleet/summary/").json()["gpus"]
    assert gpus == {"expected": None, "physical": None, "advertised": None, "usable": None, "missing": [], "uncounted_nodes": 1}


def test_counted_and_none_is_zero(reader: Any) -> None:
    a_node("n1", physical=0, expected=0, advertised_gpus=0, usable=0)
    gpus = reader.get("/api/v1/fleet/summary/").json()["gpus"]
    assert (gpus["expected"], gpus["physical"], gpus["usable"]) == (0, 0, 0)


def test_a_cluster_never_read_is_null_about_itself(reader: Any) -> None:
    a_cluster("east", read_at=None, taken_at=None, outcome="", server_version="", platform="")
    result = reader.get("/api/v1/clusters/east/").json()
    assert result["platform"] is result["server_version"] is result["outcome"] is result["server"] is None


def test_nothing_is_ready_before_it_is_judged(reader: Any) -> None:
    a_node("n1")
    row = reader.get("/api/v1/nodes/east/n1/").json()
    assert (row["verdict"], row["broken_rung"], row["verdict_reason"], row["rungs"]) == ("unknown", None, None, [])


DRIVER = {
    "id": "driver_loaded", "number": 2, "status": "fail", "reason": "The driver pod is not ready.",
    "evidence": [{"source": "pod", "key": "gpu-operator/driver-x", "value": "CrashLoopBackOff"}], "remedy": "Read its log.",
    "rests_on": ["nodes", "pods"], "own_status": None, "waiver": None,
}  # fmt: skip
TELEMETRY = {
    "id": "telemetry_healthy", "number": 7, "status": "blocked", "own_status": "not_enabled", "reason": "No exporter.",
    "evidence": [], "remedy": "", "rests_on": ["nodes", "telemetry"],
    "waiver": {"rung": "telemetry_healthy", "reason": "No exporter is allowed.", "by": "otto", "at": "2026-11-20T00:00:00Z",
               "where": "cluster east"},
}  # fmt: skip


def broken(name: str = "n1", **fields: Any) -> None:
    read = {"nodes": "2026-11-23T12:00:00Z", "pods": "2026-11-23T11:58:00Z"}
    values = {
        "verdict": "not_ready", "broken_rung": "driver_loaded", "verdict_since": NOON, "verdict_reason": DRIVER["reason"],
        "verdict_remedy": "Read its log.", "reached": 1, "usable": 0, "rungs": [DRIVER, TELEMETRY], "flapping": True,
    }  # fmt: skip
    a_node(name, cluster=a_cluster("east", section_read_at=read), **{**values, **fields})


def test_the_verdict_comes_with_its_rung_reason_remedy_and_since(reader: Any) -> None:
    broken()
    row = reader.get("/api/v1/nodes/east/n1/").json()
    assert (row["verdict"], row["broken_rung"], row["reached"], row["flapping"]) == ("not_ready", "driver_loaded", 1, True)
    assert row["verdict_since"] == NOON.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert (row["verdict_reason"], row["verdict_remedy"]) == (DRIVER["reason"], "Read its log.")
    assert row["gpus"]["usable"] == 0


def test_a_rung_is_as_old_as_the_oldest_section_it_rests_on(reader: Any) -> None:
    broken()
    driver, telemetry = reader.get("/api/v1/nodes/east/n1/").json()["rungs"]
    assert driver == {
        "id": "driver_loaded", "number": 2, "title": "Driver loaded", "status": "fail", "own_status": None,
        "reason": DRIVER["reason"], "evidence": DRIVER["evidence"], "remedy": "Read its log.",
        "observed_at": "2026-11-23T11:58:00Z", "waiver": None,
    }  # fmt: skip
    assert telemetry["observed_at"] is None, "telemetry was never read"
    assert (telemetry["status"], telemetry["own_status"], telemetry["remedy"]) == ("blocked", "not_enabled", None)
    assert telemetry["waiver"]["by"] == "otto"


def test_nodes_are_filtered_ordered_and_counted_by_verdict_and_rung(reader: Any) -> None:
    broken()
    a_node("good", verdict="ready", usable=8, reached=9, rungs=[{**DRIVER, "status": "pass"}])
    assert names(reader.get("/api/v1/nodes/?verdict=not_ready")) == ["n1"]
    assert names(reader.get("/api/v1/nodes/?verdict=ready,not_ready")) == ["good", "n1"]
    assert names(reader.get("/api/v1/nodes/?broken_rung=driver_loaded")) == ["n1"]
    assert names(reader.get("/api/v1/nodes/?rung=driver_loaded:pass")) == ["good"]
    assert names(reader.get("/api/v1/nodes/?rung=driver_loaded:fail")) == ["n1"]
    assert names(reader.get("/api/v1/nodes/?rung=telemetry_healthy:waived")) == ["n1"]
    assert names(reader.get("/api/v1/nodes/?flapping=true")) == ["n1"]
    assert names(reader.get("/api/v1/nodes/?ordering=-reached")) == ["good", "n1"]
    assert names(reader.get("/api/v1/nodes/?ordering=verdict_since")) == ["good", "n1"]
    assert names(reader.get("/api/v1/nodes/?ordering=usable")) == ["n1", "good"]
    result = reader.get("/api/v1/nodes/facets/").json()["facets"]
    assert {(item["value"], item["count"]) for item in result["verdict"]} == {("ready", 1), ("not_ready", 1)}
    assert ("driver_loaded", 1) in {(entry["value"], entry["count"]) for entry in result["broken_rung"]}


def test_the_csv_has_the_verdict(reader: Any) -> None:
    broken()
    answer = reader.get("/api/v1/nodes/?format=csv")
    row = next(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert (row["verdict"], row["broken_rung"], row["gpus.usable"], row["reached"]) == ("not_ready", "driver_loaded", "0", "1")


def test_the_summary_counts_verdicts_and_usable_cards(reader: Any) -> None:
    broken()
    a_node("good", verdict="ready", usable=8)
    result = reader.get("/api/v1/fleet/summary/").json()
    assert (
        result["nodes"]["by_verdict"]["not_ready"] == result["nodes"]["by_verdict"]["ready"] == result["nodes"]["flapping"] == 1
    )
    assert (result["gpus"]["expected"], result["gpus"]["usable"]) == (16, 8)
    assert result["gpus"]["missing"] == [
        {"verdict": "not_ready", "broken_rung": "driver_loaded", "reason": "The driver is not loaded", "count": 8, "nodes": 1}
    ]


def test_usable_gpus_are_unknown_without_a_count(reader: Any) -> None:
    a_node("n1", physical=None, expected=None, usable=None)
    assert reader.get("/api/v1/fleet/summary/").json()["gpus"]["usable"] is None


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


@pytest.mark.parametrize(
    ("query", "expected"),
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
def test_filters(reader: Any, query: str, expected: list[str]) -> None:
    taint = [{"key": "dedicated", "value": "x", "effect": "NoSchedule"}]
    a_node("h100", labels={"team": "serving", "nvidia.com/gpu.count": "8"}, taints=taint)
    t4 = a_node("t4", product="Tesla-T4", mode="Time-sliced ×4", labels={"team": "vision", "nvidia.com/gpu.count": "1"})
    a_resource(t4, "nvidia.com/gpu.shared")
    a_node("odd", product="", labels={"nvidia.com/gpu.count": "many"})
    a_node("gone", removed_at=NOON)
    assert names(reader.get(f"/api/v1/nodes/?{query}")) == expected


@pytest.mark.parametrize(
    ("query", "field"),
    [("produkt=x", "produkt"), ("ordering=colour", "ordering"), ("label=a%3Db%3Dc", "label"), ("removed=perhaps", "removed")],
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
    result = reader.get("/api/v1/nodes/facets/?product=A").json()["facets"]
    assert result["product"] == [{"value": "A", "count": 2}, {"value": "B", "count": 1}]
    assert result["zone"] == [{"value": "z1", "count": 1}, {"value": "z2", "count": 1}]
    assert reader.get("/api/v1/nodes/facets/?produkt=A").status_code == 400


def test_facets_keep_values_that_the_filter_leaves_empty(reader: Any) -> None:
    a_node(product="A", zone="z1")
    a_node(product="B", zone="z2")
    result = reader.get("/api/v1/nodes/facets/?product=A").json()["facets"]
    assert {"value": "z2", "count": 0} in result["zone"]


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


@pytest.mark.parametrize("cell", ["a;=1+1", "a\n=1+1", "a\t-1", "\uff1d1+1", "\t=1", "@SUM(1)", "a;@x;+y"])
def test_csv_runs_no_formula_where_a_spreadsheet_splits_cells_elsewhere(cell: str) -> None:
    """Excel splits at a semicolon in most of Europe, and takes the full-width signs for the others in East Asia."""
    (line,) = list(csv_lines([{"zone": cell}], ["zone"]))[1:]
    parts = re.split(r"[;\t\n\r]", line.strip('"\r\n'))
    assert [part for part in parts if part.startswith(("=", "+", "-", "@", "\uff1d"))] == []
    assert list(csv_lines([{"zone": ["a;=1"]}], ["zone"]))[1] == '"[""a;\'=1""]"\r\n'


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
    with django_assert_max_num_queries(7):
        reader.get("/api/v1/nodes/")
    for _ in range(30):
        a_resource(a_node())
    with django_assert_max_num_queries(7):
        assert len(names(reader.get("/api/v1/nodes/"))) == 33


def test_mig_instances_belong_to_physical_gpus(reader: Any) -> None:
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
