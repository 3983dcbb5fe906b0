"""Headroom over the database: what is free beside GPUs as the scheduler counts it, and classes against explain."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from msgspec.structs import replace

from fleet.domain.placement.nodes import OTHER_RESOURCES
from fleet.domain.placement.scheduler.state import ClusterState
from fleet.domain.snapshot.scheduling import PodScheduling, RuntimeClass, SchedulingObjects
from fleet.domain.snapshot.sections import Outcome
from fleet.models import Cluster, CollectionRun, Node, Pod
from fleet.selectors.placement.placement import placement_nodes
from tests.absorbing import absorb
from tests.domain.placement.scheduler import recordings
from tests.services.snapshots import a_node, a_pod, a_snapshot

pytestmark = pytest.mark.django_db


def record(east: Cluster, *nodes: Any, pods: Any = (), after_s: float = 0, objects: Any = None) -> None:
    east.refresh_from_db()
    seen = a_snapshot(
        *nodes,
        pods=tuple(pods),
        after_s=after_s,
        broken={"scheduling": Outcome.COLLECTED},
        scheduling=objects or SchedulingObjects(runtime_classes=()),
    )
    absorb(east, seen, CollectionRun(cluster=east, started_at=seen.taken_at))


def test_what_is_free_equals_what_explain_computes_from_the_same_pods() -> None:
    east, compared = Cluster.objects.create(name="east"), 0
    for number, scenario in enumerate(recordings.scenarios()):
        if number % 12:
            continue
        known = recordings.cluster_objects(scenario["objects"]["other"])
        nodes = [recordings.node(entry) for entry in scenario["objects"]["nodes"]]
        pods = [recordings.pod(entry, known) for entry in scenario["objects"]["pods"]]
        record(east, *nodes, pods=pods, after_s=60.0 * number)
        state = ClusterState(nodes, pods, known, whole=True)
        for node in placement_nodes(timezone.now(), others=True):
            expected = state.nodes[node.name]
            assert {name: node.other_free(name) for name in OTHER_RESOURCES} == {
                name: expected.free(name) for name in OTHER_RESOURCES
            }, (scenario["name"], node.name)
            assert node.pods_free == (expected.allocatable.get("pods") or 0) - len(expected.pods)
            compared += 1
    assert compared > 60


def test_a_pod_whose_request_cannot_be_read_makes_what_is_free_unknown() -> None:
    east = Cluster.objects.create(name="east")
    odd = replace(a_pod("odd", "n1"), scheduling=PodScheduling(requests={"cpu": None, "memory": 5}))
    old = a_pod("old", "n2")
    huge = replace(a_pod("huge", "n3"), scheduling=PodScheduling(requests={"cpu": 10**40}))
    record(east, a_node("n1"), a_node("n2"), a_node("n3"), a_node("n4"), pods=(odd, old, huge))
    by_name = {node.name: node for node in placement_nodes(timezone.now(), others=True)}
    assert by_name["n1"].other_free("cpu") is None
    assert by_name["n1"].other_free("memory") == -5
    assert by_name["n2"].other_free("cpu") is None
    assert by_name["n3"].other_free("cpu") == 190_000 - 10**40
    assert by_name["n4"].other_free("cpu") == 190_000
    assert placement_nodes(timezone.now())[0].others == ()
    assert Pod.objects.count() == 3


POOL = """
apiVersion: muster/v1
kind: Pool
metadata: {name: h100}
spec: {selector: {products: [NVIDIA-H100-80GB-HBM3]}}
---
apiVersion: muster/v1
kind: WorkloadClass
metadata: {name: serve}
spec: {gpus: 2, cpuPerSlot: 20, memoryPerSlot: 100Gi, pools: [h100], runtimeClass: kata}
"""
SIZES = {"nvidia.com/gpu": "8", "cpu": "190", "memory": "1000Gi", "pods": "110", "ephemeral-storage": "500Gi"}


def test_a_class_has_as_many_replicas_as_explain_lands_of_its_manifest(reader: Any) -> None:
    east = Cluster.objects.create(name="east")
    busy = replace(a_pod("busy", "n1", gpus=1), scheduling=PodScheduling(requests={"nvidia.com/gpu": 1, "cpu": 100_000}))
    kata = RuntimeClass(name="kata", overhead={"cpu": "10"})
    objects = SchedulingObjects(namespaces={}, priority_classes=(), runtime_classes=(kata,))
    record(east, a_node("n1", allocatable=SIZES), a_node("n2", allocatable=SIZES), pods=(busy,), objects=objects)
    Node.objects.update(verdict="ready")
    Cluster.objects.update(read_at=timezone.now())
    applied = reader.post("/api/v1/pools/apply/", POOL, content_type="application/yaml")
    assert applied.status_code == 200, applied.content
    headroom = reader.get("/api/v1/workload-classes/serve/headroom/").json()
    # n1 has 7 GPUs and 90 cores, n2 has 8 and 190: 50 cores a pod with the overhead
    assert headroom["replicas"] == 1 + 3
    asked = {"workload_class": "serve", "replicas": 40}
    answer = reader.post("/api/v1/explain/", asked, content_type="application/json").json()
    assert answer["replicas"] == headroom["replicas"]
    manifest = str(reader.get("/api/v1/workload-classes/serve/manifest/?kind=pod&format=json").json())
    assert "'cpu': '40'" in manifest
    assert "'memory': '200Gi'" in manifest
