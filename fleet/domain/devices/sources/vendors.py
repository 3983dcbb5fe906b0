"""Labels of AMD, Intel and Habana nodes; NVIDIA's are in gfd.py."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from fleet.domain import labels
from fleet.domain.catalog.gpus import find
from fleet.domain.devices.sources.gfd import plausible, plausible_count
from fleet.domain.quantities import parse_gib_label

# Devices per card in AMD's compute-partition modes. CPX makes one of every die, so that the product decides.
_AMD_DEVICES_PER_CARD = {"SPX": 1, "DPX": 2, "TPX": 3, "QPX": 4}
MOST_GPUS = 16
"""Most GPUs of a machine on the market."""
_MODES = frozenset({*_AMD_DEVICES_PER_CARD, "CPX", "MIXED"})
_AMD_COUNTED = ("product-name", "device-id", "family")


class VendorFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of one node from its vendor's labeller."""

    product: str = ""
    products: tuple[str, ...] = ()
    memory_mib: int | None = None
    family: str = ""
    driver_version: str = ""
    count: int | None = None
    """Devices that the labels count; for AMD partitions, each is one."""
    count_keys: tuple[str, ...] = ()
    """The labels that count them."""
    partition: str = ""
    """AMD compute-partition mode: SPX (whole GPUs), DPX, QPX, CPX."""
    devices_per_card: int | None = 1
    """None where the mode is known but not how many devices it makes."""


NOTHING = VendorFacts()


def read(vendor: str, node_labels: Mapping[str, str], resources: Mapping[str, int]) -> VendorFacts:
    """Returns the vendor's facts; `resources` are the node's capacities of its GPU resources above zero."""
    if vendor == "amd":
        return _amd(node_labels, resources)
    if vendor == "intel":
        count, count_keys = _intel_count(node_labels)
        product = node_labels.get(labels.INTEL_PRODUCT, "")
        return VendorFacts(
            product=product,
            products=(product,) if product else (),
            family=node_labels.get(labels.INTEL_FAMILY, ""),
            count=count,
            count_keys=count_keys,
        )
    if vendor == "habana":
        product = node_labels.get(labels.GAUDI_PRODUCT, "")
        return VendorFacts(product=product, products=(product,) if product else ())
    return NOTHING


def _intel_count(node_labels: Mapping[str, str]) -> tuple[int | None, tuple[str, ...]]:
    """Returns Intel's devices, and the labels that count them.

    NFD's rules count each PCI device id alone (`device-id.<class>-<id>.count`), and known data-centre GPUs again together
    (`device.count`). The plugin advertises all of them, so the larger number is used. Source:
    intel-device-plugins-for-kubernetes, cmd/gpu_plugin/labels.md.
    """
    together = plausible_count(node_labels.get(labels.INTEL_DEVICE_COUNT))
    by_id = {key: plausible_count(text) or 0 for key, text in node_labels.items() if _counts_a_device_id(key)}
    summed = plausible(sum(by_id.values()))
    if summed and summed > (together or 0):
        return summed, tuple(sorted(key for key, count in by_id.items() if count))
    return together, (labels.INTEL_DEVICE_COUNT,) if together is not None else ()


def _counts_a_device_id(key: str) -> bool:
    return key.startswith(labels.INTEL_DEVICE_ID) and key.endswith(".count")


def _amd(node_labels: Mapping[str, str], resources: Mapping[str, int]) -> VendorFacts:
    old = _old_amd_labels(node_labels)
    products = old.get("product-name", {})
    product = node_labels.get(labels.AMD_PRODUCT) or (next(iter(products)) if len(products) == 1 else "")
    key = next((kind for kind in _AMD_COUNTED if old.get(kind)), "")
    mode = _mode(node_labels, old, resources)
    model = find(product)
    per_card = 1
    if mode:
        known = model.partitions if model else {}
        per_card = known.get(mode) or _AMD_DEVICES_PER_CARD.get(mode) or 0
    vram = old.get("vram", {})
    memory = parse_gib_label(node_labels.get(labels.AMD_VRAM) or (next(iter(vram)) if len(vram) == 1 else None))
    return VendorFacts(
        product=product,
        products=tuple(sorted({product, *products} - {""})),
        memory_mib=plausible(memory) or None,
        family=model.family if model and model.family else node_labels.get(labels.AMD_FAMILY, ""),
        driver_version=node_labels.get(labels.AMD_DRIVER_VERSION, ""),
        count=sum(old[key].values()) if key else None,
        count_keys=(f"{labels.AMD_LABEL_OLD}{key}",) if key else (),
        partition=mode,
        devices_per_card=per_card or None,
    )


def _mode(node_labels: Mapping[str, str], old: Mapping[str, Mapping[str, int]], resources: Mapping[str, int]) -> str:
    """Returns the node's single compute-partition mode, by label or resource name; empty without one or where they differ."""
    applied = node_labels.get(labels.AMD_CONFIG_STATE) == "success"
    modes_named = [node_labels.get(labels.AMD_PARTITION, ""), *old.get("compute-memory-partition", {})]
    modes_named += [node_labels.get(labels.AMD_CONFIG_PROFILE, "")] if applied else []
    # With mixed naming some plugins call every partition spx_nps1: no machine has that many whole GPUs.
    modes_named += [
        name.split("/", 1)[1] if units <= MOST_GPUS or not name.startswith("amd.com/spx") else "mixed"
        for name, units in resources.items()
        if labels.resource_kind(name) == "partition" and not (applied and units > MOST_GPUS)
    ]
    if not any(modes_named) and resources.get(labels.AMD_GPU, 0) > MOST_GPUS:
        modes_named = ["mixed"]  # no machine has that many whole GPUs: they are partitions, whatever their name
    modes_named = [text for text in modes_named if text.replace("-", "_").split("_")[0].upper() in _MODES]
    modes = {text.replace("-", "_").split("_")[0].upper() for text in modes_named if text}
    only = modes.pop() if len(modes) == 1 else "MIXED" if modes else ""
    return "mixed" if only == "MIXED" else only


def _old_amd_labels(node_labels: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Returns `beta.amd.com/gpu.<kind>.<value>=<count>` as kind to value to count."""
    counts_by_kind: dict[str, dict[str, int]] = {}
    for label, text in node_labels.items():
        if label.startswith(labels.AMD_LABEL_OLD):
            kind, _, value = label.removeprefix(labels.AMD_LABEL_OLD).partition(".")
            count = plausible_count(text)
            if value and count:
                counts_by_kind.setdefault(kind, {})[value] = count
    return counts_by_kind
