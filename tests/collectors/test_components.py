"""Which part of the GPU stack a pod or DaemonSet is."""

from __future__ import annotations

import pytest

from fleet.collectors.components import component_of


@pytest.mark.parametrize(
    ("labels", "component"),
    [
        ({"app": "nvidia-driver-daemonset"}, "driver"),
        ({"app": "nvidia-gpu-driver-ubuntu22.04-abc", "app.kubernetes.io/component": "nvidia-driver"}, "driver"),
        ({"app": "nvidia-container-toolkit-daemonset"}, "toolkit"),
        ({"app": "nvidia-device-plugin-daemonset"}, "device-plugin"),
        ({"name": "nvidia-device-plugin-ds"}, "device-plugin"),
        ({"app.kubernetes.io/name": "nvidia-device-plugin"}, "device-plugin"),
        ({"k8s-app": "nvidia-gpu-device-plugin"}, "device-plugin"),
        ({"app": "nvidia-device-plugin-mps-control-daemon"}, "mps-control-daemon"),
        ({"app": "gpu-feature-discovery", "app.kubernetes.io/part-of": "nvidia-gpu"}, "gpu-feature-discovery"),
        ({"app": "nvidia-dcgm-exporter"}, "dcgm-exporter"),
        ({"app.kubernetes.io/name": "dcgm-exporter", "app.kubernetes.io/component": "dcgm-exporter"}, "dcgm-exporter"),
        ({"app": "nvidia-dcgm"}, "dcgm"),
        ({"app": "nvidia-mig-manager"}, "mig-manager"),
        ({"app": "nvidia-operator-validator"}, "validator"),
        ({"app": "nvidia-cuda-validator"}, "cuda-validator"),
        ({"app": "nvidia-device-plugin-validator"}, "plugin-validator"),
        ({"app": "nvidia-node-status-exporter"}, "node-status-exporter"),
        ({"app": "gpu-operator", "app.kubernetes.io/component": "gpu-operator"}, "gpu-operator"),
        ({"nvidia-dra-driver-gpu-component": "kubelet-plugin"}, "dra-driver"),
        ({"nvidia-dra-driver-gpu-component": "controller"}, "dra-controller"),
        ({"app.kubernetes.io/name": "node-feature-discovery", "role": "worker"}, "nfd-worker"),
        ({"name": "amdgpu-dp-ds"}, "amd-device-plugin"),
        ({"name": "amdgpu-lr-ds"}, "amd-node-labeller"),
        ({"app": "intel-gpu-plugin"}, "intel-device-plugin"),
        ({"name": "habanalabs-device-plugin-ds"}, "gaudi-device-plugin"),
        ({"nvidia.com/ofed-driver": ""}, "network-driver"),
        ({"app": "vllm", "app.kubernetes.io/name": "vllm"}, ""),
        ({}, ""),
    ],
)
def test_by_labels(labels: dict[str, str], component: str) -> None:
    assert component_of(labels) == component


@pytest.mark.parametrize(
    ("name", "component"),
    [
        ("nvidia-driver-daemonset-5.15.0-105-generic-ubuntu22.04", "driver"),
        ("nvidia-gpu-driver-rhel9.4-7f9c8d", "driver"),
        ("nvidia-driver-installer", "driver"),
        ("nvidia-gpu-device-plugin-large-cos", "device-plugin"),
        ("nvidia-device-plugin-daemonset", "device-plugin"),
        ("nvdp-nvidia-device-plugin", "device-plugin"),
        ("nvdp-nvidia-device-plugin-gpu-feature-discovery", "gpu-feature-discovery"),
        ("nvdp-nvidia-device-plugin-mps-control-daemon", "mps-control-daemon"),
        ("release-dcgm-exporter", "dcgm-exporter"),
        ("gpu-operator-node-feature-discovery-worker", "nfd-worker"),
        ("nvidia-dra-driver-gpu-kubelet-plugin", "dra-driver"),
        ("amd-gpu-device-plugin-daemonset", "amd-device-plugin"),
        ("kube-proxy", ""),
        ("cilium", ""),
    ],
)
def test_by_the_name_of_a_daemonset(name: str, component: str) -> None:
    assert component_of({}, name) == component


def test_one_chart_labels_all_its_daemonsets_alike() -> None:
    labels = {"app.kubernetes.io/name": "nvidia-device-plugin"}
    assert component_of(labels, "nvdp-nvidia-device-plugin-gpu-feature-discovery") == "gpu-feature-discovery"


def test_the_dra_validator_carries_the_other_validators_label() -> None:
    assert component_of({"app": "nvidia-operator-validator"}, "nvidia-dra-validator") == "dra-validator"


@pytest.mark.parametrize(
    ("image", "component"),
    [
        ("nvcr.io/nvidia/k8s-device-plugin:v0.17.3", "device-plugin"),
        ("registry.local/mirror/rocm/k8s-device-plugin:latest", "amd-device-plugin"),
        ("rocm/k8s-device-plugin:labeller-latest", "amd-node-labeller"),
        ("intel/intel-gpu-plugin:0.34.0", "intel-device-plugin"),
    ],
)
def test_by_image_where_a_daemonset_was_renamed(image: str, component: str) -> None:
    assert component_of({"app": "team-app"}, "our-own-name", [image]) == component
    assert component_of({"app": "team-app"}, "", [image]) == "", "a team's own pod may use any image"


def test_a_team_may_call_its_pods_what_it_likes() -> None:
    assert component_of({"app": "my-dcgm-exporter-dashboard"}) == ""
