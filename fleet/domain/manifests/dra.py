"""ResourceClaimTemplate: how GPUs of a DRA pool are requested.

Sources: resource.k8s.io/v1 (Kubernetes 1.34 and later); attribute and capacity names of NVIDIA's DRA driver, which are its own
domain's where written without one (dra-driver-nvidia-gpu cmd/gpu-kubelet-plugin/deviceinfo.go).
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from fleet.domain import labels
from fleet.domain.classes.requirements import ClassInPool
from fleet.domain.dra.wire import read_claim_spec
from fleet.domain.manifests.parameters import Parameters
from fleet.domain.snapshot.dra import DraClaim

REQUEST = "gpu"


def claim_template(in_pool: ClassInPool, parameters: Parameters) -> list[dict[str, Any]]:
    """Returns the template of one claim per pod, under the workload's name."""
    exactly: dict[str, Any] = {"deviceClassName": in_pool.device_class}
    selectors = device_selectors(in_pool)
    if selectors:
        exactly["selectors"] = [{"cel": {"expression": expression}} for expression in selectors]
    exactly |= {"allocationMode": "ExactCount", "count": in_pool.class_spec.slots_per_pod}
    if in_pool.devices and in_pool.devices.capacity:
        exactly["capacity"] = {"requests": dict(in_pool.devices.capacity)}
    return [
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaimTemplate",
            "metadata": {"name": parameters.name, "namespace": parameters.namespace},
            "spec": {"spec": {"devices": {"requests": [{"name": REQUEST, "exactly": exactly}]}}},
        }
    ]


def class_claim(in_pool: ClassInPool) -> DraClaim:
    """Returns the claim that the template makes for each pod of the class."""
    (template,) = claim_template(in_pool, Parameters())
    claim = read_claim_spec("default", REQUEST, template["spec"]["spec"])
    return msgspec.structs.replace(claim, made=True)


def device_selectors(in_pool: ClassInPool) -> list[str]:
    """CEL over one device: what the class asks of it beyond its device class.

    Where the devices of the pool are unknown, NVIDIA's by the names of its driver.
    """
    if in_pool.devices is not None:
        return list(in_pool.devices.selectors)
    if in_pool.resource not in (labels.DRA_NVIDIA_GPU, labels.DRA_NVIDIA_MIG_CLASS):
        return []
    domain = json.dumps(labels.DRA_NVIDIA_GPU)
    rows = []
    if in_pool.class_spec.profile:
        rows.append(f"device.attributes[{domain}].profile == {json.dumps(in_pool.class_spec.profile)}")
    if in_pool.class_spec.min_memory_mib:
        rows.append(f'device.capacity[{domain}].memory.compareTo(quantity("{in_pool.class_spec.min_memory_mib}Mi")) >= 0')
    return rows
