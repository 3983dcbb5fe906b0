"""What a cloud's own labels tell about a node's GPUs: what the machine was ordered with, not what works."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from fleet.domain import labels
from fleet.domain.catalog.gpus import find_by_cloud_name
from fleet.domain.findings import Evidence
from fleet.domain.mig import canonical
from fleet.domain.quantities import parse_count
from fleet.domain.sources.gfd import PLAUSIBLE

_GKE_SHARING = {"time-sharing": "time-slicing", "time-slicing": "time-slicing", "mps": "mps"}
_STARTS = ("cloud.google.com/gke-", "k8s.amazonaws.com/acc", "kubernetes.azure.com/acc", "accelerator", "nvsentinel.")
_PREFIXES = (*labels.AWS_GPU_PREFIXES, labels.AZURE_GPU_PREFIX, labels.COREWEAVE_GPU_PREFIX)


class CloudHints(msgspec.Struct, frozen=True, kw_only=True):
    """Hints of one node; empty or None where no cloud says anything."""

    vendor: str = ""
    name: str = ""
    """The cloud's own word for the product: `nvidia-tesla-t4`, `h100`."""
    product: str = ""
    """The same in the vendor's spelling, where the catalogue can translate it without doubt."""
    count: int | None = None
    """Physical GPUs of the machine."""
    gke: bool = False
    """GKE's own stack speaks: what it does not label (sharing, partition) is off."""
    sharing: str = ""
    replicas: int | None = None
    """Clients per GPU."""
    partition: str = ""
    """MIG profile that every GPU of the node is cut into."""
    evidence: tuple[Evidence, ...] = ()


NOTHING = CloudHints()


def read(node_labels: Mapping[str, str]) -> CloudHints:
    """The hints of all known clouds; the first that speaks wins, counts are cross-checked by nobody here."""
    told = {key: value for key, value in node_labels.items() if _is_cloud_label(key) and value}
    if not told:
        return NOTHING
    name_key = next((key for key in _name_keys() if told.get(key)), "")
    name = told.get(name_key, "")
    gke = labels.GKE_ACCELERATOR in told
    if not labels.names_a_gpu(told.get(labels.GKE_ACCELERATOR, "")):
        told.pop(labels.GKE_ACCELERATOR_COUNT, None)  # on GKE's TPU nodes it counts chips
    count_key, count = _count(told)
    nominal = next((parse_count(told[p + "memory"]) for p in labels.AWS_GPU_PREFIXES if p + "memory" in told), None)
    model = find_by_cloud_name(name, nominal) if name else None
    used = [count_key, name_key, labels.GKE_SHARING_STRATEGY, labels.GKE_MAX_SHARED_CLIENTS, labels.GKE_PARTITION_SIZE]
    strategy = told.get(labels.GKE_SHARING_STRATEGY, "") if gke else ""
    return CloudHints(
        vendor=_vendor(told, name),
        name="" if name_key in (labels.AKS_ACCELERATOR, labels.ACCELERATOR_OLD) else name,
        product=model.product if model else "",
        count=count,
        gke=gke,
        sharing=_GKE_SHARING.get(strategy, ""),
        replicas=_small(told.get(labels.GKE_MAX_SHARED_CLIENTS)) if gke else None,
        partition=canonical(told.get(labels.GKE_PARTITION_SIZE, "")) if gke else "",
        evidence=tuple(Evidence("label", key, told[key]) for key in dict.fromkeys(used) if key in told),
    )


@lru_cache(maxsize=16384)
def _is_cloud_label(key: str) -> bool:
    return key.startswith((*_STARTS, *_PREFIXES))


def _count(told: Mapping[str, str]) -> tuple[str, int | None]:
    keys = [
        labels.GKE_ACCELERATOR_COUNT,
        *(prefix + "count" for prefix in _PREFIXES),
        labels.NVSENTINEL_GPU_COUNT_EXPECTED,
    ]
    for key in keys:
        number = _small(told.get(key))
        if number:
            return key, number
    return "", None


def _name_keys() -> tuple[str, ...]:
    return (
        labels.GKE_ACCELERATOR,
        *(prefix + "name" for prefix in (*labels.AWS_GPU_PREFIXES, labels.AZURE_GPU_PREFIX)),
        labels.COREWEAVE_GPU_PREFIX + "model",
        labels.COREWEAVE_GPU_PREFIX + "class",
        labels.AWS_ACCELERATOR,
        labels.AKS_ACCELERATOR,
        labels.ACCELERATOR_OLD,
    )


def _vendor(told: Mapping[str, str], name: str) -> str:
    for prefix in (*labels.AWS_GPU_PREFIXES, labels.AZURE_GPU_PREFIX):
        maker = told.get(prefix + "manufacturer", "").lower()
        if maker in ("nvidia", "amd", "intel", "habana"):
            return maker
    model = find_by_cloud_name(name) or find_by_cloud_name(name, 40960) if name else None
    if model is not None:
        return "amd" if model.product.startswith("AMD") else "nvidia"
    start = name.lower()
    if start.startswith("nvidia") or any(key.startswith(labels.COREWEAVE_GPU_PREFIX) for key in told):
        return "nvidia"
    return "amd" if start.startswith("amd") else ""


def _small(text: str | None) -> int | None:
    number = parse_count(text)
    return number if number is not None and number <= PLAUSIBLE else None
