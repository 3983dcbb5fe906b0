"""Queues in POST explain/ and pending-pods/: the place of a pod and of a manifest, workloads without pods, unknown systems."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from msgspec.structs import replace

from fleet.domain.snapshot.queues import (
    KUEUE,
    ClusterQueue,
    Flavor,
    FlavorQuota,
    LocalQueue,
    PodSet,
    QueueObjects,
    Workload,
)
from fleet.models import Cluster, SchedulingRow
from fleet.services.recording.nodes import plain
from tests.api.test_explain import SIZES, ask, record
from tests.api.test_pending import ask as pending
from tests.api.test_pending import waiting
from tests.services.snapshots import a_node

pytestmark = pytest.mark.django_db
GPU = "nvidia.com/gpu"
GATE = {"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}]}
JOB = """apiVersion: batch/v1
kind: Job
metadata: {name: train, namespace: research, labels: {kueue.x-k8s.io/queue-name: main}}
spec:
  parallelism: 3
  template:
    spec:
      containers: [{name: m, image: example/m, resources: {limits: {nvidia.com/gpu: 2}}}]
"""


@pytest.fixture
def east() -> Cluster:
    cluster = Cluster.objects.create(name="east")
    gated = waiting("gated", 4, minutes=5, **GATE)
    record(cluster, a_node("n1", allocatable=SIZES, labels={"gpu": "h100"}), pods=(gated,))
    Cluster.objects.update(read_at=timezone.now())
    keep(cluster, _objects())
    return cluster


def keep(cluster: Cluster, objects: QueueObjects) -> None:
    SchedulingRow.objects.update_or_create(cluster=cluster, defaults={"queues_read": plain(objects)})


def _objects() -> QueueObjects:
    quota = FlavorQuota(flavor="h100", resource=GPU, nominal=8, reserved=6)
    pod = waiting("gated", 4).scheduling
    scheduling = None if pod is None else replace(pod, gates=())

    def workload(name: str, gpus: int, minutes: int, **more: Any) -> Workload:
        at = timezone.now() - timedelta(minutes=minutes)
        sets = (PodSet(name="main", requests={GPU: gpus}, pod=scheduling),)
        return Workload(
            namespace="research", name=name, uid=name, queue="main", created_at=at, queued_at=at, pod_sets=sets, **more
        )

    return QueueObjects(
        systems={KUEUE: ""},
        cluster_queues=(ClusterQueue(name="shared", quotas=(quota,), active=True),),
        local_queues=(LocalQueue(namespace="research", name="main", cluster_queue="shared"),),
        flavors=(Flavor(name="h100"),),
        cohorts=(),
        workloads=(workload("suspended", 16, 30), workload("pod-gated", 4, 5, owners=(("Pod", "gated"),))),
    )


def test_a_pending_pod_has_its_place_first(reader: Any, east: Cluster) -> None:
    answer = ask(reader, pod="east/research/gated")
    queue = answer["queue"]
    assert (queue["name"], queue["position"], queue["waiting"], queue["state"]) == ("shared", 2, 2, "waiting")
    assert [row["name"] for row in queue["ahead"]] == ["suspended"]
    assert queue["short"] == [{"flavor": "h100", "resource": GPU, "needed": 4, "available": 2, "quota": 8, "used": 6}]
    assert answer["headline"].startswith("Waits in its queue: 2nd of 2 in ClusterQueue shared")
    assert answer["fits"] is False


def test_a_manifest_that_names_a_queue_is_put_behind_those_that_wait(reader: Any, east: Cluster) -> None:
    queue = ask(reader, manifest=JOB)["queue"]
    assert (queue["position"], queue["short"][0]["needed"]) == (3, 6)
    assert ask(reader, manifest=JOB.replace("kueue.x-k8s.io/queue-name: main", "app: x"))["queue"] is None


def test_workloads_whose_pods_do_not_exist_are_on_the_pending_page(reader: Any, east: Cluster) -> None:
    answer = pending(reader)
    assert [(row["name"], row["queue"]["position"], row["requests"]) for row in answer["queued"]] == [
        ("suspended", 1, {GPU: 16}),
        ("pod-gated", 2, {GPU: 4}),
    ]
    assert answer["results"][0]["queue"]["position"] == 2
    page = reader.get("/pending/").content.decode()
    assert "1st of 2 in ClusterQueue shared" in page


def test_a_system_that_was_not_read_is_unknown_on_page_and_api(reader: Any, east: Cluster) -> None:
    keep(east, QueueObjects(systems={KUEUE: "Muster may not list workloads."}))
    queue = ask(reader, pod="east/research/gated")["queue"]
    assert (queue["state"], queue["position"]) == ("unknown", None)
    assert "Muster may not list workloads." in reader.get("/pending/").content.decode()
    assert "is unknown" in reader.get("/explain/?pod=east/research/gated").content.decode()
