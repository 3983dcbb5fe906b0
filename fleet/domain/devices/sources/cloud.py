"""Cloud labels about a node's GPUs: what the machine was ordered with, not what works."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from fleet.domain import labels
from fleet.domain.catalog.gpus import find_by_cloud_name
from fleet.domain.devices.mig import canonical
from fleet.domain.devices.sources.gfd import plausible_count
from fleet.domain.findings import Evidence
from fleet.domain.quantities import parse_count

_GKE_SHARING = {"time-sharing": "time-slicing", "time-slicing": "time-slicing", "mps": "mps"}
_STARTS = (
    "karpenter.",
    "eks.amazonaws.com/instance-gpu-",
    "cloud.google.com/gke-",
    "k8s.amazonaws.com/acc",
    "kubernetes.azure.com/acc",
    "accelerator",
    "nvsentinel.",
)


class CloudHints(msgspec.Struct, frozen=True, kw_only=True):
    """Hints of one node; empty or None without labels of a cloud."""

    vendor: str = ""
    name: str = ""
    """The cloud's name of the product: `nvidia-tesla-t4`, `h100`."""
    product: str = ""
    """The same in the vendor's spelling, where the catalogue can translate it without doubt."""
    count: int | None = None
    """Physical GPUs of the machine."""
    gke: bool = False
    """GKE's own labels are there: what they do not state (sharing, partition) is off."""
    sharing: str = ""
    replicas: int | None = None
    """Clients per GPU."""
    partition: str = ""
    """MIG profile that every GPU of the node is cut into."""
    evidence: tuple[Evidence, ...] = ()


NOTHING = CloudHints()


def read(node_labels: Mapping[str, str]) -> CloudHints:
    """Returns the hints of all known clouds; the first wins, and counts are not compared."""
    cloud_labels = {key: value for key, value in node_labels.items() if _is_cloud_label(key) and value}
    if not cloud_labels:
        return NOTHING
    name_key = next((key for key in _name_keys(cloud_labels) if cloud_labels.get(key)), "")
    name = cloud_labels.get(name_key, "")
    gke = labels.GKE_ACCELERATOR in cloud_labels
    if not labels.names_a_gpu(cloud_labels.get(labels.GKE_ACCELERATOR, "")):
        cloud_labels.pop(labels.GKE_ACCELERATOR_COUNT, None)  # on GKE's TPU nodes it counts chips
    count_key, count = _count(cloud_labels)
    nominal = next(
        (parse_count(cloud_labels[key]) for key in cloud_labels if labels.karpenter_gpu_attribute(key) == "memory"), None
    )
    model = find_by_cloud_name(name, nominal) if name else None
    used = [count_key, name_key, labels.GKE_SHARING_STRATEGY, labels.GKE_MAX_SHARED_CLIENTS, labels.GKE_PARTITION_SIZE]
    strategy = cloud_labels.get(labels.GKE_SHARING_STRATEGY, "") if gke else ""
    return CloudHints(
        vendor=_vendor(cloud_labels, name),
        name="" if name_key in (labels.AKS_ACCELERATOR, labels.ACCELERATOR_OLD) else name,
        product=model.product if model else "",
        count=count,
        gke=gke,
        sharing=_GKE_SHARING.get(strategy, ""),
        replicas=plausible_count(cloud_labels.get(labels.GKE_MAX_SHARED_CLIENTS)) if gke else None,
        partition=canonical(cloud_labels.get(labels.GKE_PARTITION_SIZE, "")) if gke else "",
        evidence=tuple(Evidence("label", key, cloud_labels[key]) for key in dict.fromkeys(used) if key in cloud_labels),
    )


@lru_cache(maxsize=16384)
def _is_cloud_label(key: str) -> bool:
    return key.startswith((*_STARTS, labels.COREWEAVE_GPU_PREFIX))


def _count(cloud_labels: Mapping[str, str]) -> tuple[str, int | None]:
    keys = [
        labels.GKE_ACCELERATOR_COUNT,
        *(key for key in sorted(cloud_labels) if labels.karpenter_gpu_attribute(key) == "count"),
        labels.COREWEAVE_GPU_PREFIX + "count",
        labels.NVSENTINEL_GPU_COUNT_EXPECTED,
    ]
    for key in keys:
        number = plausible_count(cloud_labels.get(key))
        if number:
            return key, number
    return "", None


def _name_keys(cloud_labels: Mapping[str, str]) -> tuple[str, ...]:
    return (
        labels.GKE_ACCELERATOR,
        *(key for key in sorted(cloud_labels) if labels.karpenter_gpu_attribute(key) == "name"),
        labels.COREWEAVE_GPU_PREFIX + "model",
        labels.COREWEAVE_GPU_PREFIX + "class",
        labels.AWS_ACCELERATOR,
        labels.AKS_ACCELERATOR,
        labels.ACCELERATOR_OLD,
    )


def _vendor(cloud_labels: Mapping[str, str], name: str) -> str:
    for key in cloud_labels:
        maker = cloud_labels[key].lower() if labels.karpenter_gpu_attribute(key) == "manufacturer" else ""
        if maker in ("nvidia", "amd", "intel", "habana"):
            return maker
    model = find_by_cloud_name(name) or find_by_cloud_name(name, 40960) if name else None
    if model is not None:
        return "amd" if model.product.startswith("AMD") else "nvidia"
    start = name.lower()
    if any(key.startswith("karpenter.k8s.gcp/instance-gpu-") for key in cloud_labels):
        return "nvidia"  # Google Cloud has no other GPUs
    if start.startswith("nvidia") or any(key.startswith(labels.COREWEAVE_GPU_PREFIX) for key in cloud_labels):
        return "nvidia"
    return "amd" if start.startswith("amd") else ""
