"""Meaning of the labels that Muster reads, in one short line. Sources as in labels.py."""

from __future__ import annotations

import re

from fleet.domain import labels

_MEANINGS = {
    labels.GPU_PRODUCT: "GPU model as the driver names it, with suffixes for MIG and sharing",
    labels.GPU_COUNT: "GPUs that GFD found; under MIG single: MIG devices",
    labels.GPU_REPLICAS: "slots per device; 0: sharing does not apply",
    labels.GPU_SHARING_STRATEGY: "how devices are shared",
    labels.GPU_MEMORY: "MiB of one device; under MIG single: of one slice",
    labels.GPU_FAMILY: "architecture",
    labels.GPU_MACHINE: "machine type by its firmware",
    labels.GPU_MODE: "purpose of the GPU by its PCI class",
    labels.GFD_TIMESTAMP: "when GFD started, not a heartbeat",
    labels.MIG_STRATEGY: "how MIG devices would be advertised; not whether MIG is on",
    labels.MIG_CAPABLE: "the GPU supports MIG",
    labels.MIG_CONFIG: "requested MIG layout",
    labels.MIG_CONFIG_STATE: "result of applying that layout",
    labels.MPS_CAPABLE: "MPS is configured (not: supported)",
    labels.VGPU_PRESENT: "the GPUs are shares of the host's GPUs (vGPU)",
    labels.GPU_PRESENT: "the operator found an NVIDIA GPU on the PCI bus",
    labels.GPU_CLIQUE: "NVLink domain and clique",
    labels.DRIVER_VERSION_FULL: "NVIDIA driver, despite the name",
    labels.CUDA_VERSION_FULL: "highest CUDA version that the driver supports",
    labels.DRIVER_UPGRADE_STATE: "state of the operator's driver upgrade",
    labels.DEVICE_PLUGIN_CONFIG: "which key of the device plugin's ConfigMap applies",
    labels.WORKLOAD_CONFIG: "containers, passthrough or vGPU",
    labels.INSTANCE_TYPE: "machine type",
    labels.ZONE: "zone",
    labels.REGION: "region",
    labels.GKE_ACCELERATOR: "GPU model as GKE names it",
    labels.GKE_SHARING_STRATEGY: "how GKE shares the GPU",
    labels.GKE_MAX_SHARED_CLIENTS: "slots per GPU on GKE",
    labels.GKE_PARTITION_SIZE: "MIG profile into which GKE partitions GPUs",
    labels.AMD_PRODUCT: "GPU model",
    labels.AMD_VRAM: "memory of one GPU, GB",
}
_PATTERNS = (
    (re.compile(r"nvidia\.com/gpu\.deploy\.(.+)"), "whether the operator runs its {} here"),
    (re.compile(r"nvidia\.com/mig-(.+)\.count"), "{} instances on the node"),
    (re.compile(r"nvidia\.com/mig-(.+)\.memory"), "MiB of one {} instance"),
    (re.compile(r"nvidia\.com/mig-(.+)\.replicas"), "slots per {} instance"),
    (re.compile(r"feature\.node\.kubernetes\.io/pci-(.+)\.present"), "PCI device {} was seen by NFD"),
)


def meaning(key: str, value: str) -> str:
    """Returns the label's meaning in one line; empty for labels that Muster does not read."""
    if text := _MEANINGS.get(key):
        return text
    for pattern, words in _PATTERNS:
        if match := pattern.fullmatch(key):
            return words.format(match[1])
    return ""
