"""POST explain/: the contract's shape, recorded scenarios through database and API, and questions that are refused."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from django.utils import timezone
from msgspec.structs import replace

from fleet.collectors import device_taint_rules, resource_claims, resource_slices
from fleet.collectors.resource_slice_wires import SliceWire
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.snapshot.scheduling import SchedulingObjects
from fleet.domain.snapshot.sections import Outcome
from fleet.models import Cluster, CollectionRun, Node
from tests.absorbing import absorb
from tests.domain.dra import recorded as dra_recordings
from tests.domain.placement.scheduler import recordings
from tests.services.snapshots import a_node, a_snapshot

pytestmark = pytest.mark.django_db

URL = "/api/v1/explain/"
MANIFEST = """
kind: Deployment
metadata: {name: chat, namespace: team-a}
spec:
  replicas: 2
  template:
    spec:
      containers:
      - {name: main, image: app, resources: {limits: {nvidia.com/gpu: 4}}}
"""
SIZES = {"nvidia.com/gpu": "8", "cpu": "190", "memory": "1Ti", "pods": "110"}
NO_OBJECTS = SchedulingObjects(namespaces={}, runtime_classes=(), priority_classes=())


@pytest.fixture
def east() -> Cluster:
    return Cluster.objects.create(name="east")


def record(
    cluster: Cluster, *nodes: Any, pods: tuple[PodSnapshot, ...] = (), after_s: float = 0, scheduling: Any = NO_OBJECTS
) -> None:
    cluster.refresh_from_db()
    broken = {"scheduling": Outcome.COLLECTED}
    seen = a_snapshot(*nodes, pods=pods, after_s=after_s, broken=broken, scheduling=scheduling)
    absorb(cluster, seen, CollectionRun(cluster=cluster, started_at=seen.taken_at))


def ask(client: Any, status: int = 200, **question: Any) -> dict[str, Any]:
    answer = client.post(URL, question, content_type="application/json")
    assert answer.status_code == status, answer.content
    result: dict[str, Any] = answer.json()
    return result


def test_the_answer_has_the_shape_of_the_contract(reader: Any, east: Cluster) -> None:
    record(east, a_node("n1", allocatable=SIZES), a_node("n2", allocatable={**SIZES, "nvidia.com/gpu": "2"}))
    Node.objects.filter(name="n1").update(verdict="ready")
    Cluster.objects.update(read_at=timezone.now())
    result = ask(reader, manifest=MANIFEST)
    assert result["as_of"] is not None
    assert result["pods"] == [
        {"title": "Deployment chat", "path": "spec.template.spec", "fits": True, "headline": result["headline"], "replicas": 2}
    ]
    del result["as_of"], result["pods"]
    assert result == {
        "fits": True,
        "headline": "All 2 replicas fit now: 1 node of 2 can take them.",
        "replicas": 2,
        "nodes": {"total": 2, "feasible": 1},
        "feasible": [{"cluster": "east", "name": "n1"}],
        "reasons": [{"id": "resources", "text": "Not enough free: 4 nvidia.com/gpu requested.", "nodes": 1, "opens": 1}],
        "suggestions": [{"text": "Requesting 2 nvidia.com/gpu instead of 4.", "patch": None, "nodes": 1}],
        "warnings": [],
        "scheduler": None,
        "queue": None,
        "not_modelled": [],
    }


def test_recorded_scenarios_give_the_recorded_nodes_through_database_and_api(reader: Any, east: Cluster) -> None:
    """Those of one pod that waits, whose nodes all have GPUs: the manifest is asked for as its author would."""
    compared = 0
    for number, scenario in enumerate(recordings.scenarios()):
        manifest, answer = scenario["pending"][0], scenario["answers"][0]
        has_gpus = all(any("gpu" in name for name in node["status"]["allocatable"]) for node in scenario["objects"]["nodes"])
        if answer["feasible"] is None or not has_gpus or compared >= 25:
            continue
        objects = scenario["objects"]
        known = recordings.cluster_objects(objects["other"])
        nodes = tuple(recordings.node(entry) for entry in objects["nodes"])
        record(
            east,
            *nodes,
            pods=tuple(recordings.pod(entry, known) for entry in objects["pods"]),
            after_s=60.0 * number,
            scheduling=known,
        )
        result = ask(reader, manifest=str(manifest).replace("True", "true").replace("None", "null"))
        assert [node["name"] for node in result["feasible"]] == answer["feasible"], scenario["name"]
        assert result["fits"] is bool(answer["feasible"])
        assert sum(reason["nodes"] for reason in result["reasons"]) == len(nodes) - len(answer["feasible"])
        compared += 1
    assert compared == 25


def test_a_pending_pod_has_the_schedulers_message_and_whether_muster_agrees(reader: Any, east: Cluster) -> None:
    message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    manifest = {
        "metadata": {"name": "p", "namespace": "team-a"},
        "spec": {"containers": [{"name": "m", "resources": {"limits": {"nvidia.com/gpu": "16"}}}]},
    }
    waiting = recordings.pod(manifest, NO_OBJECTS)
    record(east, a_node("n1", allocatable=SIZES), pods=(_with(waiting, message),))
    result = ask(reader, pod="east/team-a/p")
    assert result["scheduler"] == {"message": message, "agrees": True}
    assert result["headline"] == "Fits nowhere now. Requesting 8 nvidia.com/gpu instead of 16 would open 1 node."
    record(east, a_node("n1", allocatable=SIZES), pods=(_with(waiting, "0/1 nodes are available: 1 Too many pods."),), after_s=60)
    assert ask(reader, pod="east/team-a/p")["scheduler"]["agrees"] is False


def _with(pod: PodSnapshot, message: str) -> PodSnapshot:
    return replace(pod, message=message, reason="Unschedulable")


def test_nothing_collected_is_unknown(reader: Any) -> None:
    result = ask(reader, manifest=MANIFEST)
    assert result["fits"] is None
    assert result["nodes"] == {"total": 0, "feasible": 0}


def test_volumes_that_were_not_read_make_the_answer_unknown(reader: Any, east: Cluster) -> None:
    record(east, a_node("n1", allocatable=SIZES))
    with_volume = MANIFEST + "      volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]\n"
    result = ask(reader, manifest=with_volume)
    assert result["fits"] is None
    assert "volumes" in result["not_modelled"][0]


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ({}, "non_field_errors"),
        ({"manifest": MANIFEST, "pod": "a/b/c"}, "non_field_errors"),
        ({"manifest": "kind: Service"}, "manifest"),
        ({"manifest": "a: ["}, "manifest"),
        ({"manifest": "x" * (2**20 + 1)}, "manifest"),
        ({"pod": "a/b"}, "pod"),
        ({"pod": "a/b/c"}, "pod"),
        ({"workload_class": "none"}, "workload_class"),
        ({"workload_class": "none", "replicas": 0}, "replicas"),
        ({"manifest": MANIFEST, "cluster": "none"}, "cluster"),
    ],
)
def test_a_question_that_cannot_be_answered_names_its_field(reader: Any, question: dict[str, Any], field: str) -> None:
    result = ask(reader, 400, **question)
    assert field in str(result)


def test_explain_requires_a_sign_in(client: Any) -> None:
    assert client.post(URL, {"manifest": MANIFEST}, content_type="application/json").status_code == 401


def test_recorded_dra_scenarios_give_the_recorded_nodes_through_database_and_api(reader: Any, east: Cluster) -> None:
    compared = 0
    for number, scenario in enumerate(dra_recordings.scenarios()):
        pod, answer = scenario["pending"][0], scenario["answers"][0]
        if answer.get("decided") or (answer["message"] or "").startswith("running "):
            continue
        compared += 1
        if compared % 4:
            continue
        cluster = dra_recordings.Cluster(scenario)
        record_dra(east, scenario, cluster, after_s=60.0 * number)
        templates = [
            {"kind": "ResourceClaimTemplate", "metadata": {"namespace": key[0], "name": key[1]}, "spec": raw["spec"]}
            for key, raw in cluster.templates.items()
        ]
        result = ask(reader, manifest=json.dumps({"kind": "List", "items": [{"kind": "Pod", **pod}, *templates]}))
        assert [node["name"] for node in result["feasible"]] == answer["feasible"], scenario["name"]
        assert result["fits"] is bool(answer["feasible"])
        assert result["not_modelled"] == []
    assert compared > 80


def record_dra(east: Cluster, scenario: dict[str, Any], cluster: Any, after_s: float, **broken: Outcome) -> None:
    objects = scenario["objects"]
    known = recordings.cluster_objects(objects["other"])
    wires = [msgspec.convert(raw, resource_claims.ClaimWire) for raw in cluster.claims.values()]
    slices = [msgspec.convert(raw, SliceWire) for raw in objects["slices"]]
    rules = [device_taint_rules.parse(msgspec.convert(raw, device_taint_rules.RuleWire)) for raw in objects["rules"]]
    seen = a_snapshot(
        *(recordings.node(entry) for entry in objects["nodes"]),
        pods=tuple(recordings.pod(entry, known) for entry in objects["pods"]),
        after_s=after_s,
        broken={"scheduling": Outcome.COLLECTED, **broken},
        scheduling=known,
        slices=resource_slices.parse(slices, "v1"),
        taint_rules=tuple(rule for rule in rules if rule),
        device_classes=tuple(cluster.classes),
        claims=tuple(map(resource_claims.parse_claim, wires)),
        allocations=tuple(held for wire in wires for held in resource_claims.parse(wire)),
    )
    east.refresh_from_db()
    absorb(east, seen, CollectionRun(cluster=east, started_at=seen.taken_at))


@pytest.mark.parametrize("section", ["resource_slices", "resource_claims", "device_classes", "device_taint_rules"])
def test_claims_are_unknown_where_a_part_of_dra_was_not_read(reader: Any, east: Cluster, section: str) -> None:
    scenario = next(
        row
        for row in dra_recordings.scenarios()
        if row["answers"][0]["feasible"] and row["pending"][0]["spec"].get("resourceClaims")
    )
    cluster = dra_recordings.Cluster(scenario)
    record_dra(east, scenario, cluster, 0)
    record_dra(east, scenario, cluster, 60, **{section: Outcome.FORBIDDEN})
    templates = [
        {"kind": "ResourceClaimTemplate", "metadata": {"namespace": key[0], "name": key[1]}, "spec": raw["spec"]}
        for key, raw in cluster.templates.items()
    ]
    result = ask(reader, manifest=json.dumps({"kind": "List", "items": [{"kind": "Pod", **scenario["pending"][0]}, *templates]}))
    assert result["fits"] is None
    assert "not read" in result["not_modelled"][0]
