"""Meaning of the labels that Muster reads, in one short line. Sources as in labels.py."""

from __future__ import annotations

import re

from fleet.domain import labels

_MEANINGS = {
    labels.GPU_PRODUCT: "card model as the driver names it, with suffixes for MIG and sharing",
    labels.GPU_COUNT: "cards GFD saw; under MIG single: MIG devices",
    labels.GPU_REPLICAS: "slots each device is advertised as; 0: sharing does not apply",
    labels.GPU_SHARING_STRATEGY: "how devices are shared",
    labels.GPU_MEMORY: "MiB of one device; under MIG single: of one slice",
    labels.GPU_FAMILY: "architecture",
    labels.GPU_MACHINE: "machine as its firmware names it",
    labels.GPU_MODE: "what the PCI class says the card is for",
    labels.GFD_TIMESTAMP: "when GFD started, not a heartbeat",
    labels.MIG_STRATEGY: "how MIG devices would be advertised; does not say that MIG is on",
    labels.MIG_CAPABLE: "the card could do MIG",
    labels.MIG_CONFIG: "MIG layout that is wanted",
    labels.MIG_CONFIG_STATE: "how applying that layout went",
    labels.MPS_CAPABLE: "MPS is configured, not: the card could do it",
    labels.VGPU_PRESENT: "the cards are shares of a host's cards (vGPU)",
    labels.GPU_PRESENT: "the operator found an NVIDIA card on the PCI bus",
    labels.GPU_CLIQUE: "NVLink domain and clique",
    labels.DRIVER_VERSION_FULL: "NVIDIA driver, despite the name",
    labels.CUDA_VERSION_FULL: "newest CUDA the driver supports",
    labels.DRIVER_UPGRADE_STATE: "where the operator's driver upgrade stands",
    labels.DEVICE_PLUGIN_CONFIG: "which key of the device plugin's ConfigMap applies",
    labels.WORKLOAD_CONFIG: "containers, passthrough or vGPU",
    labels.INSTANCE_TYPE: "machine type",
    labels.ZONE: "zone",
    labels.REGION: "region",
    labels.GKE_ACCELERATOR: "card model as GKE names it",
    labels.GKE_SHARING_STRATEGY: "how GKE shares the card",
    labels.GKE_MAX_SHARED_CLIENTS: "slots each GKE card is advertised as",
    labels.GKE_PARTITION_SIZE: "MIG profile that GKE cuts cards into",
    labels.AMD_PRODUCT: "card model",
    labels.AMD_VRAM: "memory of one card, GB",
}
_PATTERNS = (
    (re.compile(r"nvidia\.com/gpu\.deploy\.(.+)"), "whether the operator runs its {} here"),
    (re.compile(r"nvidia\.com/mig-(.+)\.count"), "{} instances on the node"),
    (re.compile(r"nvidia\.com/mig-(.+)\.memory"), "MiB of one {} instance"),
    (re.compile(r"nvidia\.com/mig-(.+)\.replicas"), "slots each {} instance is advertised as"),
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
