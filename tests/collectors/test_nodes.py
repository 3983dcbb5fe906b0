"""Nodes: every recorded one parsed, GPU nodes kept, the cluster's platform found."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from fleet.collectors import nodes
from fleet.collectors.platforms import platform_of
from fleet.domain.devices.detection import gpu_evidence
from fleet.domain.snapshot import NodeSnapshot, Taint
from fleet.domain.snapshot.sections import Outcome
from tests.collectors.recorded import body, names, recording
from tests.collectors.scripted import Server, session

RECORDED = names("node_")
CPU = {"node_cpu"}


def parsed(name: str) -> NodeSnapshot:
    node = nodes.parse(msgspec.json.decode(body(name), type=nodes.NodeWire))
    assert node is not None
    return node


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_nodes_keep_the_values_of_the_api(name: str) -> None:
    raw, node = recording(name)["body"], parsed(name)
    assert (node.name, node.uid) == (raw["metadata"]["name"], raw["metadata"]["uid"])
    assert node.labels == raw["metadata"]["labels"]
    assert node.capacity == raw["status"]["capacity"]
    assert node.allocatable == raw["status"]["allocatable"]
    assert node.provider_id == raw["spec"].get("providerID", "")
    assert node.unschedulable == raw["spec"].get("unschedulable", False)
    assert [(t.key, t.value, t.effect) for t in node.taints] == [
        (t["key"], t.get("value", ""), t["effect"]) for t in raw["spec"].get("taints", [])
    ]
    assert [(c.type, c.status, c.reason) for c in node.conditions] == [
        (c["type"], c["status"], c["reason"]) for c in raw["status"]["conditions"]
    ]
    assert all(c.last_transition_at is not None for c in node.conditions)
    assert node.created_at is not None
    assert node.created_at.tzinfo is not None
    info = raw["status"]["nodeInfo"]
    assert node.node_info.boot_id == info["bootID"]
    assert node.node_info.kubelet == info["kubeletVersion"]
    assert node.node_info.container_runtime == info["containerRuntimeVersion"]


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_gpu_nodes_are_recognised(name: str) -> None:
    assert bool(gpu_evidence(parsed(name))) is (name not in CPU)


def test_only_annotations_that_are_read_are_kept() -> None:
    assert parsed("node_h100").annotations == {"nvidia.com/gpu-driver-upgrade-enabled": "true"}


def test_a_condition_is_kept_without_its_heartbeat() -> None:
    ready = next(c for c in parsed("node_h100__notready").conditions if c.type == "Ready")
    assert ready.status == "Unknown"
    assert "heartbeat" not in repr(ready).lower()


def test_repeated_texts_are_shared() -> None:
    result, two = parsed("node_h100"), parsed("node_h100__gpu-lost")
    key = "nvidia.com/gpu.product"
    assert result.labels[key] is two.labels[key]
    assert result.conditions[0].type is two.conditions[0].type


def read(items: list[Any], wanted: Any = lambda _: True, version: str = "v1.33.0") -> nodes.Nodes:
    server = Server({"/api/v1/nodes": {"kind": "NodeList", "metadata": {}, "items": items}})
    return nodes.fetch(session(server), wanted, version)


def test_only_wanted_nodes_are_kept_but_all_are_counted() -> None:
    items = [recording(name)["body"] for name in ("node_h100", "node_cpu", "node_mi300x")]
    read_nodes = read(items, lambda node: bool(gpu_evidence(node)))
    assert len(read_nodes.listing.items) == 2
    assert read_nodes.listing.count == 3
    assert read_nodes.listing.outcome is Outcome.COLLECTED
    assert read_nodes.platform == "EKS"


def test_numbers_as_quantities_are_understood() -> None:
    (node,) = read([{"metadata": {"name": "a"}, "status": {"capacity": {"nvidia.com/gpu": 8}}}]).listing.items
    assert node.capacity == {"nvidia.com/gpu": "8"}


def test_a_node_with_almost_no_fields() -> None:
    (node,) = read([{"metadata": {"name": "a", "labels": None}, "spec": {"taints": None}, "status": None}]).listing.items
    assert node == NodeSnapshot(name="a", uid="")


def test_a_taint_without_a_value() -> None:
    wire = msgspec.convert([{"key": "a", "effect": "NoSchedule"}, {"effect": "NoExecute"}], list[nodes.TaintWire])
    assert nodes.parse_taints(wire) == (Taint("a", "", "NoSchedule"),)


@pytest.mark.parametrize(
    ("labels", "annotations", "provider", "version", "platform"),
    [
        ({}, {}, "", "v1.33.3-eks-ace6451", "EKS"),
        ({}, {}, "gce://p/z/n", "v1.33.2-gke.1240000", "GKE"),
        ({"kubernetes.azure.com/agentpool": "gpu"}, {}, "azure:///x", "v1.33.2", "AKS"),
        ({"node.openshift.io/os_id": "rhel"}, {}, "aws:///x", "v1.31.6", "OpenShift"),
        ({"eks.amazonaws.com/nodegroup": "a"}, {}, "aws:///x", "v1.36.2", "EKS"),
        ({}, {"kubeadm.alpha.kubernetes.io/cri-socket": "unix:///x"}, "", "v1.36.2", "kubeadm"),
        ({}, {}, "", "v1.33.4+k3s1", "K3s"),
        ({}, {}, "", "v1.33.4+rke2r1", "RKE2"),
        ({}, {}, "aws:///us-east-1a/i-1", "v1.36.2", "AWS"),
        ({}, {}, "", "v1.36.2", ""),
    ],
)
def test_platforms(labels: Any, annotations: Any, provider: str, version: str, platform: str) -> None:
    assert platform_of(labels, annotations, provider, version) == platform


def test_the_platform_of_most_nodes_counts() -> None:
    eks = [{"metadata": {"name": name, "labels": {"eks.amazonaws.com/nodegroup": "a"}}} for name in ("e", "f")]
    hybrid = {"metadata": {"name": "h", "annotations": {"kubeadm.alpha.kubernetes.io/cri-socket": "x"}}}
    assert read([hybrid, *eks]).platform == "EKS"


def test_times() -> None:
    (node,) = read([{"metadata": {"name": "a", "creationTimestamp": "2026-11-23T21:16:01+02:00"}}]).listing.items
    assert node.created_at == datetime(2026, 11, 23, 19, 16, 1, tzinfo=UTC)
