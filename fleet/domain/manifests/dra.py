"""ResourceClaimTemplate: how GPUs of a DRA pool are asked for.

Sources: resource.k8s.io/v1 (Kubernetes 1.34 and later); attribute and capacity names of NVIDIA's DRA driver, which are its own
domain's where written without one (dra-driver-nvidia-gpu cmd/gpu-kubelet-plugin/deviceinfo.go).
"""

from __future__ import annotations

import json
from typing import Any

from fleet.domain import labels
from fleet.domain.classes.asks import PoolAsk
from fleet.domain.manifests.parameters import Parameters

REQUEST = "gpu"


def claim_template(ask: PoolAsk, parameters: Parameters) -> list[dict[str, Any]]:
    """The template of one claim per pod, under the workload's name."""
    exactly: dict[str, Any] = {"deviceClassName": ask.resource}
    selectors = device_selectors(ask)
    if selectors:
        exactly["selectors"] = [{"cel": {"expression": expression}} for expression in selectors]
    exactly |= {"allocationMode": "ExactCount", "count": ask.promise.slots_per_pod}
    return [
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaimTemplate",
            "metadata": {"name": parameters.name, "namespace": parameters.namespace},
            "spec": {"spec": {"devices": {"requests": [{"name": REQUEST, "exactly": exactly}]}}},
        }
    ]


def device_selectors(ask: PoolAsk) -> list[str]:
    """CEL over one device: what the class asks of it beyond its device class."""
    if ask.resource not in (labels.DRA_NVIDIA_GPU, labels.DRA_NVIDIA_MIG_CLASS):
        return []
    domain = json.dumps(labels.DRA_NVIDIA_GPU)
    found = []
    if ask.promise.profile:
        found.append(f"device.attributes[{domain}].profile == {json.dumps(ask.promise.profile)}")
    if ask.promise.min_memory_mib:
        found.append(f'device.capacity[{domain}].memory.compareTo(quantity("{ask.promise.min_memory_mib}Mi")) >= 0')
    return found
