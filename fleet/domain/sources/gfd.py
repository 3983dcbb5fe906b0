"""What GPU feature discovery says about a node, read from its labels. Labels that cannot be read become None."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

import msgspec

from fleet.domain import labels
from fleet.domain.mig import canonical
from fleet.domain.quantities import parse_count

PLAUSIBLE = 1_000_000
"""No count of GPUs, shares or MiB in a label is larger; what claims to be is unreadable."""

SHORT = 60
"""Versions, families and profiles are short words; what a label or a driver says beyond is cut off."""

_PRODUCT = re.compile(r"(?P<model>.*?)(?:-MIG-(?P<mig>INVALID|\d.*?))?(?P<shared>-SHARED)?", re.DOTALL)
_MIG_ATTRIBUTE = re.compile(
    r"(.+)\.(product|count|replicas|sharing-strategy|memory|multiprocessors|slices\.[gc]i|engines\.\w+)", re.DOTALL
)
_UNSAFE = re.compile(r"[^A-Za-z0-9\-_. ]")


class MigLabels(msgspec.Struct, frozen=True, kw_only=True):
    """The labels of one profile under the mixed strategy."""

    count: int | None = None
    replicas: int | None = None
    strategy: str | None = None
    memory_mib: int | None = None


class Gfd(msgspec.Struct, frozen=True, kw_only=True):
    """One node's GFD labels. `found` is False where GFD wrote nothing about GPUs."""

    found: bool = False
    product: str = ""
    """Without the -SHARED and -MIG-* suffixes, in the vendor's spelling."""
    mig_profile: str = ""
    """The one profile of the node under the single strategy; empty otherwise."""
    mig_invalid: bool = False
    shared_suffix: bool = False
    count: int | None = None
    """Physical GPUs of the labelled model; under the single strategy MIG devices."""
    replicas: int | None = None
    """Per device; 0 means GFD found sharing not applicable."""
    strategy: str | None = None
    """none, time-slicing, mps; empty under MIG-INVALID; None when the label is not there (GFD before MPS)."""
    memory_mib: int | None = None
    family: str = ""
    compute: str = ""
    mig_strategy: str = ""
    mig_capable: bool | None = None
    mps_capable: str | None = None
    vgpu: bool = False
    mig: dict[str, MigLabels] = {}
    driver_version: str = ""
    cuda_version: str = ""
    unreadable: tuple[str, ...] = ()
    """Labels that should be a number and are none."""


def read(node_labels: Mapping[str, str]) -> Gfd:
    """The GFD labels of a node. Never raises, whatever the labels hold."""
    product = node_labels.get(labels.GPU_PRODUCT, "")
    model, profile, invalid, shared = split_product(product)
    unreadable: list[str] = []

    def number(key: str) -> int | None:
        text = node_labels.get(key)
        if text is None:
            return None
        value = parse_count(text)
        if value is None or value > PLAUSIBLE:
            unreadable.append(key)
            return None
        return value

    count = number(labels.GPU_COUNT)
    major, minor = node_labels.get(labels.GPU_COMPUTE_MAJOR, ""), node_labels.get(labels.GPU_COMPUTE_MINOR, "")
    capable = node_labels.get(labels.MIG_CAPABLE)
    return Gfd(
        found=bool(product) or labels.GPU_COUNT in node_labels or labels.GPU_FAMILY in node_labels,
        product=model,
        mig_profile=profile,
        mig_invalid=invalid,
        shared_suffix=shared,
        count=count,
        replicas=number(labels.GPU_REPLICAS),
        strategy=node_labels.get(labels.GPU_SHARING_STRATEGY),
        memory_mib=number(labels.GPU_MEMORY) or None,
        family=node_labels.get(labels.GPU_FAMILY, ""),
        compute=f"{major}.{minor}" if major and minor else "",
        mig_strategy=node_labels.get(labels.MIG_STRATEGY, ""),
        mig_capable=None if capable is None else capable == "true",
        mps_capable=node_labels.get(labels.MPS_CAPABLE),
        vgpu=node_labels.get(labels.VGPU_PRESENT) == "true",
        mig=_mig_labels(node_labels, number),
        driver_version=_version(
            node_labels, labels.DRIVER_VERSION_FULL, labels.DRIVER_VERSION_PARTS, labels.DRIVER_VERSION_PARTS_OLD
        ),
        cuda_version=_version(node_labels, labels.CUDA_VERSION_FULL, labels.CUDA_VERSION_PARTS, labels.CUDA_VERSION_PARTS_OLD),
        unreadable=tuple(unreadable),
    )


def split_product(product: str) -> tuple[str, str, bool, bool]:
    """A gpu.product value as (model, MIG profile or "", MIG invalid?, shared?)."""
    match = _PRODUCT.fullmatch(product)
    if match is None:
        return product, "", False, False
    mig = match["mig"] or ""
    return match["model"], "" if mig == "INVALID" else canonical(mig), mig == "INVALID", bool(match["shared"])


def label_form(product: str) -> str:
    """A product name as NVML, DCGM and DRA write it, in the form GFD gives it as a label: one product, one name."""
    return "-".join(_UNSAFE.sub("", product).split())


def _mig_labels(node_labels: Mapping[str, str], number: Callable[[str], int | None]) -> dict[str, MigLabels]:
    found: dict[str, dict[str, str]] = {}
    for key in node_labels:
        named = _mig_attribute(key)
        if named is not None:
            found.setdefault(named[0], {})[named[1]] = key
    return {
        canonical(profile): MigLabels(
            count=number(keys.get("count", "")),
            replicas=number(keys.get("replicas", "")),
            strategy=node_labels.get(keys.get("sharing-strategy", "")),
            memory_mib=number(keys.get("memory", "")) or None,
        )
        for profile, keys in sorted(found.items())
    }


@lru_cache(maxsize=16384)
def _mig_attribute(key: str) -> tuple[str, str] | None:
    """The (profile, attribute) of a label of the mixed strategy; None for any other label."""
    if not key.startswith(labels.MIG_LABEL_PREFIX):
        return None
    match = _MIG_ATTRIBUTE.fullmatch(key[len(labels.MIG_LABEL_PREFIX) :])
    return (match[1], match[2]) if match else None


def _version(node_labels: Mapping[str, str], full: str, parts: tuple[str, ...], old_parts: tuple[str, ...]) -> str:
    whole = node_labels.get(full, "")
    if whole:
        return whole
    for keys in (parts, old_parts):
        words = [node_labels.get(key, "") for key in keys]
        if words[0]:
            return ".".join(word for word in words if word)
    return ""
