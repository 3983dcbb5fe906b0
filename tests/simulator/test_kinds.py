"""Each kind of node says of itself what such a node says: labels and resources by mode, from the vendors' documentation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fleet.simulator.fleet import Fleet, build_fleet
from fleet.simulator.resources import NODES, RESOURCE_SLICES

CLUSTERS = {"lab": "research-onprem", "gke": "prod-eu-west"}


@pytest.fixture(scope="module")
def empty() -> Fleet:
    return build_fleet(nodes=0)


def _node(fleet: Fleet, kind: str) -> dict[str, Any]:
    cluster = fleet[CLUSTERS.get(kind.split("-")[0], "prod-us-east")]
    name = f"a-{kind.replace(' ', '-')}"
    if name not in cluster.nodes:
        cluster.add_node(kind, name=name)
    record = cluster.store.get(NODES, name)
    assert record is not None
    document: dict[str, Any] = json.loads(record.raw)
    return document


# kind, GFD (product, count, replicas, sharing, memory, strategy), non-zero capacity, what is allocatable of it
NVIDIA = [
    ("h100", ("NVIDIA-H100-80GB-HBM3", "8", "1", "none", "81559", "single"), {"nvidia.com/gpu": "8"}, None),
    ("h200", ("NVIDIA-H200", "8", "1", "none", "143771", "single"), {"nvidia.com/gpu": "8"}, None),
    (
        "h100-mig",
        ("NVIDIA-H100-80GB-HBM3-MIG-1g.10gb", "56", "1", "none", "9984", "single"),
        {"nvidia.com/gpu": "56"},
        None,
    ),
    ("t4-sliced", ("Tesla-T4-SHARED", "4", "4", "time-slicing", "15360", "single"), {"nvidia.com/gpu": "16"}, None),
    ("a10g-renamed", ("NVIDIA-A10G", "4", "10", "time-slicing", "23028", "single"), {"nvidia.com/gpu.shared": "40"}, None),
    (
        "a10g-renamed share-lost",
        ("NVIDIA-A10G", "4", "10", "time-slicing", "23028", "single"),
        {"nvidia.com/gpu.shared": "40"},
        {"nvidia.com/gpu.shared": "30"},
    ),
    ("l40s-mps", ("NVIDIA-L40S-SHARED", "4", "8", "mps", "46068", "single"), {"nvidia.com/gpu": "32"}, None),
    (
        "h100 plugin-down",
        ("NVIDIA-H100-80GB-HBM3", "8", "1", "none", "81559", "single"),
        {"nvidia.com/gpu": "8"},
        {},
    ),
    (
        "lab-mig-mixed",
        ("NVIDIA-A100-SXM4-80GB", "8", "0", "none", "81920", "mixed"),
        {"nvidia.com/mig-1g.10gb": "16", "nvidia.com/mig-2g.20gb": "8", "nvidia.com/mig-3g.40gb": "8"},
        None,
    ),
    (
        "lab-mig-partly",
        ("NVIDIA-A100-SXM4-80GB", "8", "1", "none", "81920", "mixed"),
        {"nvidia.com/gpu": "4", "nvidia.com/mig-1g.10gb": "28"},
        None,
    ),
    (
        "lab-mig-stale",
        ("NVIDIA-A100-SXM4-80GB-MIG-2g.20gb", "24", "1", "none", "19968", "single"),
        {"nvidia.com/gpu": "24"},
        None,
    ),
    (
        "lab-mig-sliced",
        ("NVIDIA-A100-SXM4-80GB-MIG-3g.40gb-SHARED", "16", "2", "time-slicing", "40192", "single"),
        {"nvidia.com/gpu": "32"},
        None,
    ),
    (
        "lab-mixed-sliced",
        ("NVIDIA-A100-SXM4-80GB", "8", "0", "none", "81920", "mixed"),
        {"nvidia.com/mig-1g.10gb": "32", "nvidia.com/mig-2g.20gb": "16", "nvidia.com/mig-3g.40gb": "16"},
        None,
    ),
    ("lab-mig-invalid", ("NVIDIA-A100-SXM4-80GB-MIG-INVALID", "0", "0", "", "0", "single"), {}, None),
    ("lab-two-products", ("NVIDIA-L40S", "2", "1", "none", "46068", "single"), {"nvidia.com/gpu": "4"}, None),
    ("lab-vgpu", ("NVIDIA-L40S-24Q", "1", "1", "none", "24576", "single"), {"nvidia.com/gpu": "1"}, None),
]


@pytest.mark.parametrize(("kind", "gfd", "capacity", "allocatable"), NVIDIA, ids=[row[0] for row in NVIDIA])
def test_nodes_with_gpu_feature_discovery(
    empty: Fleet, kind: str, gfd: tuple[str, ...], capacity: dict[str, str], allocatable: dict[str, str] | None
) -> None:
    node = _node(empty, kind)
    labels = node["metadata"]["labels"]
    keys = ("gpu.product", "gpu.count", "gpu.replicas", "gpu.sharing-strategy", "gpu.memory", "mig.strategy")
    assert tuple(labels[f"nvidia.com/{key}"] for key in keys) == gfd
    assert labels["nvidia.com/gpu.present"] == "true"
    assert labels["nvidia.com/mps.capable"] == str(gfd[3] == "mps").lower()
    assert _devices(node, "capacity") == capacity
    assert _devices(node, "allocatable") == (capacity if allocatable is None else allocatable)
    assert set(node["status"]["capacity"]) == set(node["status"]["allocatable"])


def _devices(node: dict[str, Any], where: str) -> dict[str, str]:
    vendors = ("nvidia.com/", "amd.com/", "gpu.intel.com/", "habana.ai/")
    return {key: value for key, value in node["status"][where].items() if key.startswith(vendors) and value != "0"}


def test_a_former_layout_stays_at_zero(empty: Fleet) -> None:
    capacity = _node(empty, "lab-mig-stale")["status"]["capacity"]
    assert (capacity["nvidia.com/mig-1g.10gb"], capacity["nvidia.com/mig-3g.40gb"]) == ("0", "0")
    assert _node(empty, "lab-mig-mixed")["status"]["capacity"]["nvidia.com/gpu"] == "0"
    assert _node(empty, "a10g-renamed")["status"]["capacity"]["nvidia.com/gpu"] == "0"


def test_labels_of_mig_profiles(empty: Fleet) -> None:
    labels = _node(empty, "lab-mixed-sliced")["metadata"]["labels"]
    profile = {key.removeprefix("nvidia.com/mig-1g.10gb."): value for key, value in labels.items() if "mig-1g.10gb." in key}
    assert profile["count"] == "16"
    assert profile["replicas"] == "2"
    assert profile["sharing-strategy"] == "time-slicing"
    assert profile["product"] == "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb-SHARED"
    assert (profile["memory"], profile["multiprocessors"], profile["slices.gi"]) == ("9728", "14", "1")


@pytest.mark.parametrize(
    ("kind", "resources", "label"),
    [
        ("lab-mi300x", {"amd.com/gpu": "8"}, ("amd.com/gpu.product-name", "AMD_Instinct_MI300X_VF")),
        ("lab-flex170", {"gpu.intel.com/i915": "2"}, ("gpu.intel.com/device.count", "2")),
        ("lab-gaudi2", {"habana.ai/gaudi": "8"}, ("habana.ai/gaudi.product", "HL-225")),
        ("gke-a100", {"nvidia.com/gpu": "8"}, ("cloud.google.com/gke-accelerator", "nvidia-a100-80gb")),
        ("gke-mig", {"nvidia.com/gpu": "56"}, ("cloud.google.com/gke-gpu-partition-size", "1g.5gb")),
        ("gke-l4-shared", {"nvidia.com/gpu": "16"}, ("cloud.google.com/gke-gpu-sharing-strategy", "time-sharing")),
        ("gke-l4-mps", {"nvidia.com/gpu": "12"}, ("cloud.google.com/gke-gpu-sharing-strategy", "mps")),
        ("gke-mig-shared", {"nvidia.com/gpu": "48"}, ("cloud.google.com/gke-max-shared-clients-per-gpu", "2")),
        ("l4-starting", {}, ("karpenter.k8s.aws/instance-gpu-count", "4")),
        ("gb200-dra", {}, ("node.kubernetes.io/instance-type", "p6e-gb200.36xlarge")),
    ],
)
def test_nodes_without_gpu_feature_discovery(empty: Fleet, kind: str, resources: dict[str, str], label: tuple[str, str]) -> None:
    node = _node(empty, kind)
    labels = node["metadata"]["labels"]
    assert "nvidia.com/gpu.count" not in labels
    assert labels[label[0]] == label[1]
    assert _devices(node, "capacity") == resources


def test_nodes_where_only_the_labels_are_wrong(empty: Fleet) -> None:
    away = _node(empty, "lab-l40s-sliced labels-away")
    assert "nvidia.com/gpu.product" not in away["metadata"]["labels"]
    assert away["metadata"]["labels"]["nvidia.com/gpu.present"] == "true"
    assert _devices(away, "capacity") == {"nvidia.com/gpu": "16"}
    left = _node(empty, "lab-l40s-sliced leftover")
    assert left["metadata"]["labels"]["nvidia.com/gpu.present"] == "false"
    assert left["metadata"]["labels"]["nvidia.com/gpu.count"] == "4", "an old label lingers"
    assert _devices(left, "capacity") == {}
    odd = _node(empty, "lab-l40s-sliced config-contradicts")
    assert odd["metadata"]["labels"]["nvidia.com/device-plugin.config"] == "l40s-time-slicing-8"
    assert odd["metadata"]["labels"]["nvidia.com/gpu.replicas"] == "4"


def test_a_driver_upgrade(empty: Fleet) -> None:
    node = _node(empty, "h200 driver-upgrade")
    labels = node["metadata"]["labels"]
    assert labels["nvidia.com/gpu-driver-upgrade-state"] == "drain-required"
    assert labels["nvidia.com/gpu.deploy.device-plugin"] == "paused-for-driver-upgrade"
    assert labels["nvidia.com/gpu.deploy.driver"] == "true"
    assert node["spec"]["unschedulable"] is True
    assert (_devices(node, "capacity"), _devices(node, "allocatable")) == ({"nvidia.com/gpu": "8"}, {})
    pods = empty["prod-us-east"].on_node[node["metadata"]["name"]].values()
    names = {pod.template.name for pod in pods}
    assert "nvidia-device-plugin-daemonset" not in names
    assert "nvidia-driver-daemonset" in names


def test_resource_slices(empty: Fleet) -> None:
    cluster = empty["prod-us-east"]
    whole = _slices(empty, _node(empty, "gb200-dra")["metadata"]["name"])
    assert [(entry["pool"]["resourceSliceCount"], len(entry["devices"])) for entry in whole] == [(1, 4)]
    cut = _slices(empty, _node(empty, "h100-dra-mig")["metadata"]["name"])
    devices = [device["attributes"] for entry in cut for device in entry["devices"]]
    kinds = [device["type"]["string"] for device in devices]
    assert (kinds.count("gpu"), kinds.count("mig")) == (6, 14)
    assert len({device["parentUUID"]["string"] for device in devices if "parentUUID" in device}) == 2
    assert {entry["pool"]["resourceSliceCount"] for entry in cut} == {len(cut)}, "a complete generation"
    half = _slices(empty, _node(empty, "gb200-dra half-published")["metadata"]["name"])
    assert [(entry["pool"]["generation"], entry["pool"]["resourceSliceCount"]) for entry in half] == [(2, 2)]
    tainted = _slices(empty, _node(empty, "gb200-dra device-tainted")["metadata"]["name"])
    taints = [device["taints"] for device in tainted[0]["devices"] if "taints" in device]
    assert [(taint[0]["key"], taint[0]["value"]) for taint in taints] == [("gpu.nvidia.com/xid", "79")]
    assert cluster.flavour.has_dra


def test_gpus_in_shares_and_gpus_that_are_cut_on_demand(empty: Fleet) -> None:
    shared = _slices(empty, _node(empty, "h100-dra-shares")["metadata"]["name"])
    assert all(device["allowMultipleAllocations"] for entry in shared for device in entry["devices"])
    assert {device["capacity"]["shares"]["value"] for entry in shared for device in entry["devices"]} == {"8"}
    cut = _slices(empty, _node(empty, "h100-dra-on-demand")["metadata"]["name"])
    assert [len(entry.get("sharedCounters", ())) for entry in cut] == [0, 0, 8]
    assert {entry["pool"]["resourceSliceCount"] for entry in cut} == {3}
    profiles = [
        device["attributes"]["profile"]["string"] for entry in cut for device in entry["devices"] if "-mig-" in device["name"]
    ]
    assert {profile: profiles.count(profile) for profile in set(profiles)} == {
        "1g.10gb": 56,
        "2g.20gb": 24,
        "3g.40gb": 16,
        "7g.80gb": 8,
    }


def _slices(fleet: Fleet, node: str) -> list[dict[str, Any]]:
    """Specs of the node's GPU slices."""
    specs = [json.loads(record.raw)["spec"] for record in fleet["prod-us-east"].store.each(RESOURCE_SLICES)]
    return [spec for spec in specs if spec["nodeName"] == node and spec["driver"] == "gpu.nvidia.com"]
