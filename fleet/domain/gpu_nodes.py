"""Which nodes are GPU nodes, and what proves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fleet.domain import labels
from fleet.domain.findings import Evidence
from fleet.domain.quantities import parse_count, parse_quantity
from fleet.domain.snapshot import DraDevice, NodeSnapshot

_NVIDIA_FOUND = frozenset({labels.GPU_PRODUCT, labels.GPU_FAMILY, labels.GPU_COUNT})
_CLOUD_NAMES = frozenset({labels.GKE_ACCELERATOR, labels.AWS_ACCELERATOR, labels.AKS_ACCELERATOR, labels.ACCELERATOR_OLD})
_CLOUD_COUNTS = frozenset(
    {labels.GKE_ACCELERATOR_COUNT, labels.NVSENTINEL_GPU_COUNT_EXPECTED, labels.NVSENTINEL_GPU_COUNT_CURRENT}
)
_CLOUD_PREFIXES = (*labels.AWS_GPU_PREFIXES, labels.AZURE_GPU_PREFIX, labels.COREWEAVE_GPU_PREFIX)
_NO_GPUS = ("tpu", "neuron", "inferentia", "trainium")
# Nearly every label of a node begins with something else: one look at the start of the key spares the rest.
_WORTH_A_LOOK = (
    "nvidia.com/",
    "feature.node.kubernetes.io/",
    "cloud.google.com/gke-accelerator",
    "amd.com/gpu",
    "beta.amd.com/gpu",
    "gpu.intel.com/",
    "intel.feature.node.kubernetes.io/",
    "habana.ai/",
    "k8s.amazonaws.com/accelerator",
    "kubernetes.azure.com/accelerator",
    "accelerator",
    "nvsentinel.dgxc.nvidia.com/",
    *_CLOUD_PREFIXES,
)


def gpu_evidence(node: NodeSnapshot, dra_devices: Sequence[DraDevice] = ()) -> tuple[Evidence, ...]:
    """Everything that says this node has, or should have, GPUs; empty for one that is no GPU node.

    A node whose GPU is expected (by the machine type, the PCI bus, the operator) but not advertised is one. The mere name of a
    resource proves nothing: stale names stay behind at 0. `nvidia.com/gpu.present=false` voids what GFD left behind.
    `dra_devices` may hold other nodes' devices too.
    """
    found = [
        Evidence(source, name, text)
        for source, resources in (("capacity", node.capacity), ("allocatable", node.allocatable))
        for name, text in resources.items()
        if labels.is_gpu_resource(name) and (parse_quantity(text) or 0) > 0
    ]
    gone = node.labels.get(labels.GPU_PRESENT) == "false"
    for key, value in node.labels.items():
        if key.startswith(_WORTH_A_LOOK) and _label_proves(key, value, gone=gone):
            found.append(Evidence("label", key, value))
    published = sum(1 for device in dra_devices if on_node(device, node.name) and is_gpu_device(device))
    if published:
        found.append(Evidence("resource_slice", "devices", str(published)))
    return tuple(found)


def on_node(device: DraDevice, node_name: str) -> bool:
    """Whether the device sits in this node; drivers that name no node name their pool after it."""
    return (device.node_name or device.pool) == node_name


def is_gpu_device(device: DraDevice) -> bool:
    """Whether a DRA device is a GPU or a part of one; ComputeDomain channels and daemons are not."""
    if device.driver == labels.DRA_NVIDIA_COMPUTE_DOMAIN or device.type in ("channel", "daemon"):
        return False
    return labels.is_gpu_driver(device.driver) or device.type in ("gpu", "mig", "vfio")


def _label_proves(key: str, value: str, *, gone: bool) -> bool:
    if key.startswith(labels.NVIDIA):
        return _nvidia_label_proves(key, value, gone=gone)
    if key.startswith(labels.NFD):
        return value == "true" and bool(key in labels.NFD_AMD_GPU or labels.pci_gpu_vendor(key))
    if key in _CLOUD_COUNTS:
        return (parse_count(value) or 0) > 0
    if key in _CLOUD_NAMES:
        return _names_a_gpu(key, value)
    for prefix in _CLOUD_PREFIXES:
        if key.startswith(prefix):
            return _cloud_label_proves(key.removeprefix(prefix), value)
    return _other_vendor_proves(key, value)


def _nvidia_label_proves(key: str, value: str, *, gone: bool) -> bool:
    if key == labels.GPU_PRESENT:
        return value == "true"
    if gone:
        return False
    if key == labels.GPU_COUNT or (key.startswith(labels.MIG_LABEL_PREFIX) and key.endswith(".count")):
        return (parse_count(value) or 0) > 0
    return key in _NVIDIA_FOUND and bool(value)


def _names_a_gpu(key: str, value: str) -> bool:
    name = value.lower()
    if key in (labels.AKS_ACCELERATOR, labels.ACCELERATOR_OLD):
        return name.startswith(("nvidia", "amd"))
    return bool(name) and not any(word in name for word in _NO_GPUS)


def _cloud_label_proves(attribute: str, value: str) -> bool:
    if attribute == "count":
        return (parse_count(value) or 0) > 0
    return attribute in ("name", "model", "class", "manufacturer") and bool(value)


def _other_vendor_proves(key: str, value: str) -> bool:
    if key.startswith((labels.AMD_LABEL, labels.AMD_LABEL_OLD, labels.GAUDI)):
        return bool(value) and value != "0"
    if key == labels.NFD_INTEL_GPU:
        return value == "true"
    if key == labels.INTEL_DEVICE_COUNT:
        return (parse_count(value) or 0) > 0
    if key.startswith(labels.INTEL_LABEL + "device-id."):
        return key.endswith(".present") and value == "true"
    return key in (labels.INTEL_PRODUCT, labels.INTEL_FAMILY) and bool(value)


def machine_type(node_labels: Mapping[str, str]) -> str:
    """The machine or instance type, by its current or its old label; empty where nobody says."""
    return node_labels.get(labels.INSTANCE_TYPE) or node_labels.get(labels.INSTANCE_TYPE_OLD, "")


def zone(node_labels: Mapping[str, str]) -> str:
    """The zone, by its current or its old label; empty where nobody says."""
    return node_labels.get(labels.ZONE) or node_labels.get(labels.ZONE_OLD, "")
