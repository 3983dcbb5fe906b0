"""What the scheduler reads of pods, from the API's JSON: the same as from manifests, and no more than is needed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from fleet.collectors import pod_lists, pods, scheduling_objects
from fleet.collectors.errors import Asked, Failure
from fleet.domain.placement.scheduler.specs import pod_scheduling, with_defaults
from fleet.domain.snapshot.scheduling import HostPort, PodScheduling, SchedulingObjects
from fleet.domain.snapshot.sections import Outcome
from tests.collectors.scripted import Server, session
from tests.domain.placement.scheduler import recordings

SCENARIOS = list(recordings.scenarios())
GPU = {"name": "main", "resources": {"limits": {"nvidia.com/gpu": "1"}, "requests": {"cpu": "500m", "memory": "1Gi"}}}


def collected(manifest: dict[str, Any]) -> PodScheduling:
    page = json.dumps({"kind": "PodList", "metadata": {}, "items": [manifest]}).encode()
    (wire,) = pod_lists._pages.decode(page, Asked(verb="list", resource="pods")).items
    snapshot = pods.parse(wire)
    assert snapshot is not None
    assert snapshot.scheduling is not None
    return snapshot.scheduling


def test_every_recorded_waiting_pod_is_read_as_its_manifest() -> None:
    compared = 0
    for scenario in SCENARIOS:
        for manifest in scenario["pending"]:
            if manifest["spec"].keys() & {"nodeName", "runtimeClassName", "priorityClassName"}:
                continue  # what admission adds to these is stored in the pod
            expected = pod_scheduling(manifest["metadata"], manifest["spec"], SchedulingObjects())
            assert collected(manifest) == expected
            compared += 1
    assert compared > 500


def test_of_every_recorded_bound_pod_what_it_takes_is_kept_and_nothing_else() -> None:
    compared = 0
    for scenario in SCENARIOS:
        for manifest in scenario["objects"]["pods"]:
            if manifest["spec"].keys() & {"runtimeClassName", "priorityClassName"}:
                continue
            full = pod_scheduling(manifest["metadata"], manifest["spec"], SchedulingObjects())
            kept = replace(
                PodScheduling(),
                requests=full.requests,
                ports=full.ports,
                anti_affinity=full.anti_affinity,
                volume_claims=full.volume_claims,
            )
            assert collected(manifest) == kept
            compared += 1
    assert compared > 500


def test_overhead_priority_and_promised_node_come_from_the_stored_pod() -> None:
    manifest = {
        "metadata": {"name": "p", "namespace": "team"},
        "spec": {
            "containers": [GPU],
            "overhead": {"nvidia.com/gpu": "1", "cpu": "250m"},
            "priority": 7,
            "runtimeClassName": "kata",
        },
        "status": {"nominatedNodeName": "n1"},
    }
    read = collected(manifest)
    assert read.requests == {"nvidia.com/gpu": 2, "cpu": 750, "memory": 2**30}
    assert (read.priority, read.nominated, read.not_modelled) == (7, "n1", ())
    assert read.tolerations == with_defaults(())
    bound = collected(manifest | {"spec": manifest["spec"] | {"nodeName": "n1"}})  # type: ignore[operator]
    assert bound == PodScheduling(requests=read.requests, priority=7)


def test_host_network_occupies_the_ports_containers_listen_on() -> None:
    spec = {"nodeName": "n", "hostNetwork": True, "containers": [{"name": "a", "ports": [{"containerPort": 80}]}]}
    assert collected({"metadata": {"name": "p"}, "spec": spec}).ports == (HostPort(80),)


def test_alike_bound_pods_share_one_struct() -> None:
    spec = {"nodeName": "n", "containers": [GPU]}
    first, second = (collected({"metadata": {"name": name}, "spec": spec}) for name in ("a", "b"))
    assert first is second


def listing(kind: str, *items: dict[str, Any]) -> dict[str, Any]:
    return {"kind": f"{kind}List", "apiVersion": "v1", "metadata": {}, "items": list(items)}


PATHS = {
    "/api/v1/namespaces": listing("Namespace", {"metadata": {"name": "team", "labels": {"tier": "gold"}}}),
    "/api/v1/persistentvolumeclaims": listing(
        "PersistentVolumeClaim", {"metadata": {"name": "d", "namespace": "team"}, "spec": {"volumeName": "v"}}
    ),
    "/api/v1/persistentvolumes": listing(
        "PersistentVolume", {"metadata": {"name": "v"}, "spec": {"capacity": {"storage": "1Gi"}}}
    ),
    "/apis/storage.k8s.io/v1/storageclasses": listing("StorageClass", {"metadata": {"name": "fast"}, "provisioner": "ebs"}),
    "/apis/storage.k8s.io/v1/csinodes": listing(
        "CSINode",
        *({"metadata": {"name": name}, "spec": {"drivers": [{"name": "ebs", "allocatable": {"count": 25}}]}} for name in "nm"),
    ),
    "/apis/storage.k8s.io/v1/csidrivers": listing(
        "CSIDriver", {"metadata": {"name": "topolvm"}, "spec": {"storageCapacity": True}}
    ),
    "/apis/node.k8s.io/v1/runtimeclasses": listing(
        "RuntimeClass", {"metadata": {"name": "kata"}, "overhead": {"podFixed": {"cpu": "250m"}}}
    ),
    "/apis/scheduling.k8s.io/v1/priorityclasses": listing("PriorityClass", {"metadata": {"name": "vip"}, "value": 9}),
}
BODIES = {path: json.dumps(answer).encode() for path, answer in PATHS.items()}


def test_objects_of_every_kind_are_read() -> None:
    read = scheduling_objects.fetch(session(Server(BODIES)), frozenset({"n"}))
    result = read.objects
    assert read.count == 9
    assert result.namespaces == {"team": {"tier": "gold"}}
    assert result.storage is not None
    assert [claim.volume for claim in result.storage.claims] == ["v"]
    assert [volume.capacity_bytes for volume in result.storage.volumes] == [2**30]
    assert result.storage.limits == {"n": {"ebs": 25}}, "nodes without GPUs are left out"
    assert result.storage.tracks_capacity == ("topolvm",)
    assert result.runtime_classes is not None
    assert result.runtime_classes[0].overhead == {"cpu": "250m"}
    assert result.priority_classes is not None
    assert result.priority_classes[0].value == 9
    assert msgspec.convert(msgspec.to_builtins(result), SchedulingObjects) == result


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/v1/namespaces", "namespaces"),
        ("/api/v1/persistentvolumes", "storage"),
        ("/apis/storage.k8s.io/v1/csidrivers", "storage"),
        ("/apis/node.k8s.io/v1/runtimeclasses", "runtime_classes"),
        ("/apis/scheduling.k8s.io/v1/priorityclasses", "priority_classes"),
    ],
)
def test_a_kind_that_may_not_be_listed_is_unknown_and_costs_no_other(path: str, field: str) -> None:
    forbidden = Failure(Outcome.FORBIDDEN, "no")
    read = scheduling_objects.fetch(session(Server(BODIES | {path: forbidden})), frozenset({"n"}))
    unknown = {name for name in SchedulingObjects.__struct_fields__ if getattr(read.objects, name) is None}
    assert unknown == {field}


@pytest.mark.parametrize(("uid", "known"), [("0c9f5c9e-8a3b-4a51-9f0c-2b1d7a2f6e11", True), ("kube-system", False), ("", False)])
def test_only_a_uuid_of_kube_system_stands_for_the_cluster(uid: str, known: bool) -> None:
    """A server that repeats names as UIDs would make all clusters of its kind one."""
    namespaces = json.dumps(listing("Namespace", {"metadata": {"name": "kube-system", "uid": uid}})).encode()
    read = scheduling_objects.fetch(session(Server(BODIES | {"/api/v1/namespaces": namespaces})), frozenset({"n"}))
    assert read.cluster_uid == (uid if known else "")


def test_an_api_server_that_cannot_be_reached_is_a_failure() -> None:
    gone = Failure(Outcome.UNREACHABLE, "gone")
    with pytest.raises(Failure):
        scheduling_objects.fetch(session(Server(BODIES | {"/api/v1/namespaces": gone})), frozenset())
