"""Stories change the world and the API together, and leave everything else as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fleet.simulator.fleet import build_fleet
from fleet.simulator.resources import CONFIG_MAPS, DAEMON_SETS, NODES, PODS, RESOURCE_CLAIMS
from fleet.simulator.stories import Cluster


@pytest.fixture
def cluster() -> Cluster:
    """A cluster with one idle H100 node called `n`."""
    made = build_fleet(clusters=1, nodes=0).clusters[0]
    made.add_node("h100", name="n")
    return made


def _node(cluster: Cluster, name: str = "n") -> dict[str, Any]:
    record = cluster.store.get(NODES, name)
    assert record is not None
    document: dict[str, Any] = json.loads(record.raw)
    return document


def _counts(cluster: Cluster, resource: str = "nvidia.com/gpu") -> tuple[str, str]:
    status = _node(cluster)["status"]
    return status["capacity"].get(resource, "-"), status["allocatable"].get(resource, "-")


def _pod(cluster: Cluster, key: str) -> dict[str, Any]:
    record = cluster.store.get(PODS, key)
    assert record is not None
    document: dict[str, Any] = json.loads(record.raw)
    return document


def test_versions_only_grow(cluster: Cluster) -> None:
    before = int(_node(cluster)["metadata"]["resourceVersion"])
    cluster.cordon("n")
    assert int(_node(cluster)["metadata"]["resourceVersion"]) > before


def test_a_card_fails_and_heals(cluster: Cluster) -> None:
    cluster.fail_gpu("n", 3)
    assert _counts(cluster) == ("8", "7")
    condition = next(entry for entry in _node(cluster)["status"]["conditions"] if entry["type"] == "AcceleratedHardwareReady")
    assert (condition["status"], condition["reason"]) == ("False", "NvidiaXID79Error")
    cluster.heal_gpu("n", 3)
    assert _counts(cluster) == ("8", "8")


def test_the_plugin_stops_and_starts(cluster: Cluster) -> None:
    cluster.stop_plugin("n")
    assert _counts(cluster) == ("8", "0")
    crashing = [pod for pod in cluster.on_node["n"].values() if pod.template.name == "nvidia-device-plugin-daemonset"]
    status = _pod(cluster, crashing[0].key)["status"]["containerStatuses"][0]
    assert status["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": crashing[0].message}}
    assert status["lastState"]["terminated"]["exitCode"] == 1
    assert _daemon_set(cluster, "nvidia-device-plugin-daemonset")["numberReady"] == 0
    cluster.start_plugin("n")
    assert _counts(cluster) == ("8", "8")
    assert _daemon_set(cluster, "nvidia-device-plugin-daemonset")["numberReady"] == 1


def _daemon_set(cluster: Cluster, name: str) -> dict[str, Any]:
    record = cluster.store.get(DAEMON_SETS, f"gpu-operator/{name}")
    assert record is not None
    status: dict[str, Any] = json.loads(record.raw)["status"]
    return status


def test_labels_go_away_for_a_minute() -> None:
    fleet = build_fleet(clusters=1, nodes=0)
    cluster = fleet.clusters[0]
    cluster.add_node("h100", name="n")
    cluster.restart_gfd("n")
    assert "nvidia.com/gpu.count" not in _node(cluster)["metadata"]["labels"]
    fleet.advance(59)
    assert "nvidia.com/gpu.count" not in _node(cluster)["metadata"]["labels"]
    fleet.advance(2)
    assert _node(cluster)["metadata"]["labels"]["nvidia.com/gpu.count"] == "8"


def test_a_node_is_recreated_under_its_name(cluster: Cluster) -> None:
    cluster.add_pod("n")
    before, cards = _node(cluster)["metadata"]["uid"], [gpu.uuid for gpu in cluster.nodes["n"].gpus]
    cluster.recreate_node("n")
    assert _node(cluster)["metadata"]["uid"] != before
    assert not {gpu.uuid for gpu in cluster.nodes["n"].gpus} & set(cards)
    assert not [pod for pod in cluster.on_node["n"].values() if not pod.template.daemon]
    again = _node(cluster)["metadata"]["uid"]
    cluster.recreate_node("n")
    assert _node(cluster)["metadata"]["uid"] not in (before, again)


def test_a_node_is_removed_with_its_pods(cluster: Cluster) -> None:
    cluster.remove_node("n")
    assert cluster.store.get(NODES, "n") is None
    assert not [record for record in cluster.store.each(PODS) if record.fields["spec.nodeName"] == "n"]


def test_mig_is_reconfigured_and_the_old_name_stays_at_zero(cluster: Cluster) -> None:
    cluster.reconfigure_mig("n", ["1g.10gb"] * 7, strategy="mixed")
    assert _counts(cluster, "nvidia.com/mig-1g.10gb") == ("56", "56")
    assert _counts(cluster) == ("0", "0")
    cluster.reconfigure_mig("n", ["3g.40gb"] * 2)
    assert _counts(cluster, "nvidia.com/mig-1g.10gb") == ("0", "0")
    assert _counts(cluster, "nvidia.com/mig-3g.40gb") == ("16", "16")
    cluster.reconfigure_mig("n", [])
    assert _counts(cluster) == ("8", "8")


def test_sharing_is_switched(cluster: Cluster) -> None:
    cluster.set_time_slicing("n", 4)
    assert _counts(cluster) == ("32", "32")
    cluster.set_time_slicing("n", 4, renamed=True)
    assert _counts(cluster, "nvidia.com/gpu.shared") == ("32", "32")
    assert _counts(cluster) == ("0", "0")
    cluster.set_mps("n", 2)
    assert _counts(cluster) == ("16", "16")
    assert "nvidia-device-plugin-mps-control-daemon" in {pod.template.name for pod in cluster.on_node["n"].values()}
    config = cluster.store.get(CONFIG_MAPS, "gpu-operator/device-plugin-config")
    assert config is not None
    assert "replicas: 2" in json.loads(config.raw)["data"]["mps-2"]


def test_the_kubelet_falls_silent_and_returns() -> None:
    fleet = build_fleet(clusters=1, nodes=0)
    cluster = fleet.clusters[0]
    cluster.add_node("h100", name="n")
    pod = cluster.add_pod("n")
    cluster.lose_node("n")
    ready = next(entry for entry in _node(cluster)["status"]["conditions"] if entry["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("Unknown", "NodeStatusUnknown")
    assert {taint["key"] for taint in _node(cluster)["spec"]["taints"]} >= {"node.kubernetes.io/unreachable"}
    assert "deletionTimestamp" not in _pod(cluster, pod.key)["metadata"]
    assert {entry["type"]: entry["status"] for entry in _pod(cluster, pod.key)["status"]["conditions"]}["Ready"] == "False"
    fleet.advance(301)
    assert "deletionTimestamp" in _pod(cluster, pod.key)["metadata"], "evicted after five minutes"
    cluster.find_node("n")
    assert next(entry for entry in _node(cluster)["status"]["conditions"] if entry["type"] == "Ready")["status"] == "True"
    assert "deletionTimestamp" not in _pod(cluster, pod.key)["metadata"]


def test_pods_come_and_go_and_hold_what_they_should(cluster: Cluster) -> None:
    node = cluster.nodes["n"]
    pod = cluster.add_pod("n", slots=4)
    assert len(cluster.free_slots(node)["nvidia.com/gpu"]) == 4
    cluster.terminate_pod(pod.key)
    assert "deletionTimestamp" in _pod(cluster, pod.key)["metadata"]
    assert len(cluster.free_slots(node)["nvidia.com/gpu"]) == 4, "it still holds them"
    cluster.finish_pod(pod.key)
    assert _pod(cluster, pod.key)["status"]["phase"] == "Succeeded"
    assert len(cluster.free_slots(node)["nvidia.com/gpu"]) == 8
    cluster.delete_pod(pod.key)
    assert cluster.store.get(PODS, pod.key) is None
    with pytest.raises(ValueError, match="has 8 free"):
        cluster.add_pod("n", slots=16)


@pytest.mark.parametrize(("variant", "held"), [("", 4), ("init", 4), ("sidecar", 4)])
def test_unusual_requests_set_aside_what_the_scheduler_counts(cluster: Cluster, variant: str, held: int) -> None:
    cluster.add_pod("n", slots=4, variant=variant)
    assert len(cluster.free_slots(cluster.nodes["n"])["nvidia.com/gpu"]) == 8 - held


def test_a_pending_pod_says_why(cluster: Cluster) -> None:
    pod = cluster.add_pod(slots=8)
    shown = _pod(cluster, pod.key)
    assert "nodeName" not in shown["spec"]
    condition = shown["status"]["conditions"][0]
    assert (condition["type"], condition["status"], condition["reason"]) == ("PodScheduled", "False", "Unschedulable")
    assert "Insufficient nvidia.com/gpu" in condition["message"]


def test_claims_follow_their_pods(cluster: Cluster) -> None:
    cluster.add_node("gb200-dra", name="d")
    pod = cluster.add_pod("d", slots=3)
    claim = _claim(cluster, f"{pod.namespace}/{pod.claims[0][1]}")
    assert len(claim["status"]["allocation"]["devices"]["results"]) == 3
    assert claim["status"]["reservedFor"] == [{"resource": "pods", "name": pod.name, "uid": pod.uid}]
    with pytest.raises(ValueError, match="1 free devices, 2 are asked for"):
        cluster.add_pod("d", slots=2)
    cluster.finish_pod(pod.key)
    assert "allocation" not in _claim(cluster, f"{pod.namespace}/{pod.claims[0][1]}")["status"]
    cluster.delete_pod(pod.key)
    assert not list(cluster.store.each(RESOURCE_CLAIMS))


def _claim(cluster: Cluster, key: str) -> dict[str, Any]:
    record = cluster.store.get(RESOURCE_CLAIMS, key)
    assert record is not None
    document: dict[str, Any] = json.loads(record.raw)
    return document


def test_a_driver_upgrade_begins_and_ends(cluster: Cluster) -> None:
    cluster.begin_driver_upgrade("n")
    assert _counts(cluster) == ("8", "0")
    assert _node(cluster)["spec"]["unschedulable"] is True
    cluster.end_driver_upgrade("n")
    assert _counts(cluster) == ("8", "8")
    assert "unschedulable" not in _node(cluster)["spec"]
    assert _node(cluster)["metadata"]["labels"]["nvidia.com/gpu-driver-upgrade-state"] == "upgrade-done"


def test_a_failed_admission_of_the_pods_own_making_shows_no_container(cluster: Cluster) -> None:
    big = build_fleet(clusters=1, nodes=30).clusters[0]
    refused = [pod for pod in big.pods.values() if pod.reason == "UnexpectedAdmissionError"]
    assert refused
    status = _pod(big, refused[0].key)["status"]
    assert (status["phase"], status["reason"], "containerStatuses" in status) == ("Failed", "UnexpectedAdmissionError", False)


def test_a_new_cluster_says_which_devices_each_container_holds() -> None:
    fleet = build_fleet(clusters=4, nodes=0)
    changed, untouched = fleet["staging-iad"], fleet["research-onprem"]
    for cluster, kind in ((changed, "lab-h100"), (untouched, "lab-h100")):
        node = cluster.add_node(kind, name="n")
        pod = cluster.add_pod("n", slots=2)
        status = _pod(cluster, pod.key)["status"]["containerStatuses"][0]
        if cluster is untouched:
            assert "allocatedResourcesStatus" not in status
            continue
        held = status["allocatedResourcesStatus"]
        assert [entry["name"] for entry in held] == ["nvidia.com/gpu"]
        assert {device["resourceID"] for device in held[0]["resources"]} <= {gpu.uuid for gpu in node.gpus}
        assert len(held[0]["resources"]) == 2
