"""The images a node has pulled, as the kubelet lists them: thirty of them, about six kilobytes."""

from __future__ import annotations

import msgspec

from fleet.simulator.flavours import Flavour
from fleet.simulator.seeds import Seed
from fleet.simulator.templates import raw

_COMMON = (
    "docker.io/vllm/vllm-openai:v0.11.0",
    "docker.io/lmsysorg/sglang:v0.5.4-cu129",
    "nvcr.io/nvidia/pytorch:25.09-py3",
    "nvcr.io/nvidia/tritonserver:25.09-py3",
    "nvcr.io/nvidia/nemo:25.07",
    "ghcr.io/huggingface/text-generation-inference:3.3.6",
    "docker.io/rayproject/ray-ml:2.49.2-gpu",
    "quay.io/jupyter/pytorch-notebook:cuda12-python-3.12",
    "docker.io/library/python:3.12-slim",
    "docker.io/fluent/fluent-bit:4.0.11",
    "docker.io/grafana/alloy:v1.11.2",
    "ghcr.io/example-org/trainer:2026.11.3",
    "ghcr.io/example-org/eval-harness:1.9.0",
    "registry.k8s.io/sig-storage/csi-node-driver-registrar:v2.14.0",
    "registry.k8s.io/sig-storage/livenessprobe:v2.16.0",
    "registry.k8s.io/node-problem-detector/node-problem-detector:v0.8.21",
    "registry.k8s.io/pause:3.10",
)


def stack_images(flavour: Flavour) -> dict[str, str]:
    """Images of the GPU stack by component, in the versions of this cluster."""
    driver_os = "ubuntu" + flavour.os_labels["VERSION_ID"]
    return {
        "driver": f"nvcr.io/nvidia/driver:{flavour.driver}-{driver_os}",
        "manager": "nvcr.io/nvidia/cloud-native/k8s-driver-manager:v0.8.1",
        "toolkit": f"nvcr.io/nvidia/k8s/container-toolkit:{flavour.toolkit}",
        "plugin": f"nvcr.io/nvidia/k8s-device-plugin:{flavour.plugin}",
        "exporter": f"nvcr.io/nvidia/k8s/dcgm-exporter:{flavour.exporter}-ubuntu22.04",
        "validator": f"nvcr.io/nvidia/cloud-native/gpu-operator-validator:{flavour.operator or 'v25.3.2'}",
        "mig": f"nvcr.io/nvidia/cloud-native/k8s-mig-manager:{flavour.mig_manager}",
        "nfd": "registry.k8s.io/nfd/node-feature-discovery:v0.18.2",
        "dra": "nvcr.io/nvidia/k8s-dra-driver-gpu:v25.8.0",
    }


def images(flavour: Flavour, seed: Seed, with_gpu: bool) -> msgspec.Raw:
    """status.images, largest first; the same for all nodes of one cluster with cards, and for all without."""
    names = [*_COMMON, *flavour.extra_images, *(daemon.image for daemon in flavour.daemons)]
    if with_gpu:
        names += stack_images(flavour).values()
    listed = []
    for name in names:
        repository, _, _ = name.rpartition(":")
        digest = seed.hex(64, "image", name)
        size = 1_500_000 + int(20_000_000_000 * seed.share("size", name) ** 4)
        listed.append({"names": [f"{repository}@sha256:{digest}", name], "sizeBytes": size})
    listed.sort(key=lambda image: -int(image["sizeBytes"]))  # type: ignore[call-overload]
    return raw(listed)
