"""A cluster whose GPUs are given out through DRA alone: what it has beside the DRA nodes of other clusters.

The GPU Operator runs as a GPUCluster (no ClusterPolicy, device plugin, GFD or validator); DeviceClasses stand for extended
resources; a monitor watches with admin access; a claim asks for a list of alternatives; AMD's driver publishes partitions.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fleet.simulator import managed
from fleet.simulator.pods import stamp
from fleet.simulator.seeds import Seed
from fleet.simulator.world import Claim, Gpu, Node

AMD_DRIVER = "gpu.amd.com"
_PARTITIONS = 8
STALE_GFD = {
    "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3-SHARED",
    "nvidia.com/gpu.count": "8",
    "nvidia.com/gpu.replicas": "8",
    "nvidia.com/gpu.sharing-strategy": "time-slicing",
    "nvidia.com/gpu.memory": "81559",
}
"""Labels of a GPU Feature Discovery that ran before the move to DRA, and that nothing removed."""


def is_amd(node: Node) -> bool:
    return bool(node.gpus) and node.gpus[0].model.pci_vendor == "1002"


def amd_devices(gpu: Gpu) -> list[dict[str, Any]]:
    """The partitions of a GPU in CPX mode with NPS4 memory, each with the address of its GPU (k8s-gpu-dra-driver)."""
    made = []
    for number in range(_PARTITIONS):
        card = gpu.index * _PARTITIONS + number
        attributes = {
            "type": {"string": "amdgpu-partition"},
            "cardIndex": {"int": card},
            "renderIndex": {"int": 128 + card},
            "driverVersion": {"version": "6.12.12"},
            "family": {"string": gpu.model.family},
            "parentDeviceID": {"string": f"{gpu.index + 1:016x}"},
            "parentPciAddr": {"string": gpu.pci},
            "partitionProfile": {"string": "cpx_nps4"},
            "productName": {"string": "AMD_Instinct_MI300X_OAM"},
        }
        capacity = {
            "computeUnits": {"value": str(304 // _PARTITIONS)},
            "memory": {"value": f"{gpu.model.memory_mib // _PARTITIONS}Mi"},
        }
        made.append({"name": f"gpu-{card}-{128 + card}", "attributes": attributes, "capacity": capacity})
    return made


def gpu_cluster(seed: Seed, created: datetime, namespace: str) -> dict[str, Any]:
    """The GPUCluster (nvidia.com/v1alpha1, technology preview of GPU Operator 26.7)."""
    spec = {"draDriver": {"enabled": True}, "dcgmExporter": {"enabled": True}, "driver": {"enabled": True}}
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Reconciled",
        "message": "all components are ready",
        "lastTransitionTime": stamp(created),
    }
    return {
        "metadata": _metadata("gpu-cluster", seed.uuid("gpucluster"), created, spec, "gpu-operator", "nvidia.com/v1alpha1"),
        "spec": spec,
        "status": {"state": "ready", "namespace": namespace, "conditions": [condition]},
    }


def device_classes(seed: Seed, created: datetime) -> list[dict[str, Any]]:
    """Classes by which pods ask for GPUs under the names of extended resources (KEP-5004), and AMD's own."""
    rows = (
        ("extended.gpu.nvidia.com", "device.driver == 'gpu.nvidia.com' && device.attributes['gpu.nvidia.com'].type == 'gpu'",
         "nvidia.com/gpu"),
        (AMD_DRIVER, f"device.driver == '{AMD_DRIVER}'", ""),
    )  # fmt: skip
    made = []
    for name, expression, resource in rows:
        spec: dict[str, Any] = {"selectors": [{"cel": {"expression": expression}}]}
        if resource:
            spec["extendedResourceName"] = resource
        metadata = _metadata(name, seed.uuid("deviceclass", name), created, spec, "helm", "resource.k8s.io/v1")
        made.append({"metadata": metadata, "spec": spec})
    return made


def watching_claim(node: Node, devices: list[str], seed: Seed, created: datetime) -> Claim:
    """A monitor's claim on every device of a node: with admin access, which holds none of them."""
    name = f"gpu-monitor-{node.name}"[:253]
    claim = Claim(name, "gpu-operator", seed.uuid("claim", name), "gpu.nvidia.com", created, node.name, tuple(devices))
    claim.admin = True
    return claim


def claim_requests(claimed: Claim) -> list[dict[str, Any]]:
    """The requests of a claim: exactly so many devices, all of them to watch, or the first that can be had of a list."""
    exactly: dict[str, Any] = {
        "deviceClassName": claimed.device_class,
        "allocationMode": "ExactCount",
        "count": max(1, len(claimed.devices)),
    }
    if claimed.admin:
        exactly |= {"allocationMode": "All", "adminAccess": True}
        del exactly["count"]
    if not claimed.alternatives:
        return [{"name": "gpu", "exactly": exactly}]
    listed = [
        {"name": name, "deviceClassName": device_class, "allocationMode": "ExactCount", "count": 1}
        for name, device_class in claimed.alternatives
    ]
    return [{"name": "gpu", "firstAvailable": listed}]


def request_of(claimed: Claim) -> str:
    """The name of the request that an allocation satisfies; of a list the alternative with it."""
    for name, device_class in claimed.alternatives:
        if device_class == claimed.device_class:
            return f"gpu/{name}"
    return "gpu"


def _metadata(name: str, uid: str, created: datetime, spec: dict[str, Any], manager: str, api: str) -> dict[str, Any]:
    return {
        "name": name,
        "uid": uid,
        "resourceVersion": "",
        "generation": 1,
        "creationTimestamp": stamp(created),
        "managedFields": [managed.entry(manager, {"spec": spec}, stamp(created) or "", api)],
    }
