"""Parser of GPU feature discovery's labels. Labels that cannot be read become None."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from functools import lru_cache

import msgspec

from fleet.domain import labels
from fleet.domain.devices.mig import canonical, find_same
from fleet.domain.quantities import parse_count

PLAUSIBLE = 1_000_000
"""Largest plausible count of GPUs, shares or MiB."""

SHORT = 60
"""Maximum length of versions, families and profiles; the rest is cut off."""

_DISPLAY = "DGX-Display"
"""A display GPU beside compute GPUs: labels that name it describe none of them (NVIDIA/gpu-feature-discovery#27)."""
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
    """One node's GFD labels. `is_present` is False where GFD wrote nothing about GPUs."""

    is_present: bool = False
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
    """Labels that should be a number and are not."""


def plausible(number: int | None) -> int | None:
    """Returns a number of GPUs, shares or MiB that is not too large to be one; None stays None."""
    return None if number is None or number > PLAUSIBLE else number


def plausible_count(text: str | None) -> int | None:
    """Returns the plausible number that a label writes; None without one."""
    return plausible(parse_count(text))


def read(node_labels: Mapping[str, str]) -> Gfd:
    """Returns the GFD labels of a node. Never raises, whatever the labels contain."""
    product = node_labels.get(labels.GPU_PRODUCT, "")
    model, profile, invalid, shared = split_product(product)
    unreadable: list[str] = []

    def number(key: str) -> int | None:
        text = node_labels.get(key)
        if text is None:
            return None
        value = plausible_count(text)
        if value is None:
            unreadable.append(key)
        return value

    count, replicas, memory = number(labels.GPU_COUNT), number(labels.GPU_REPLICAS), number(labels.GPU_MEMORY) or None
    if _DISPLAY in product:
        count = replicas = memory = None
    major, minor = node_labels.get(labels.GPU_COMPUTE_MAJOR, ""), node_labels.get(labels.GPU_COMPUTE_MINOR, "")
    capable = node_labels.get(labels.MIG_CAPABLE)
    return Gfd(
        is_present=bool(product) or labels.GPU_COUNT in node_labels or labels.GPU_FAMILY in node_labels,
        product=model,
        mig_profile=profile,
        mig_invalid=invalid,
        shared_suffix=shared,
        count=count,
        replicas=replicas,
        strategy=node_labels.get(labels.GPU_SHARING_STRATEGY),
        memory_mib=memory,
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


def named_as(profiles: Set[str], labels_read: Gfd) -> Gfd:
    """Returns the labels with their MIG profiles named as the node's resources name them, where only rounding differs.

    Source: NVIDIA/gpu-feature-discovery#7 (labels mig-3g.21gb, resource mig-3g.20gb).
    """
    names = {profile: profile for profile in labels_read.mig}
    for profile in labels_read.mig:
        same = find_same(profile, profiles)
        if same and same not in labels_read.mig:
            names[profile] = same
    if len(set(names.values())) < len(names) or all(profile == name for profile, name in names.items()):
        return labels_read
    renamed = {names[profile]: labels_of_profile for profile, labels_of_profile in labels_read.mig.items()}
    return msgspec.structs.replace(labels_read, mig=dict(sorted(renamed.items())))


def split_product(product: str) -> tuple[str, str, bool, bool]:
    """Returns a gpu.product value as (model, MIG profile or "", MIG invalid?, shared?)."""
    match = _PRODUCT.fullmatch(product)
    if match is None:
        return product, "", False, False
    mig = match["mig"] or ""
    return match["model"], "" if mig == "INVALID" else canonical(mig), mig == "INVALID", bool(match["shared"])


def short_form(product: str) -> str:
    """Returns H100-80GB-HBM3 of NVIDIA-H100-80GB-HBM3: the name where the vendor goes without saying."""
    return product.removeprefix("NVIDIA-")


def label_form(product: str) -> str:
    """Returns the product name of NVML, DCGM or DRA in GFD's label form: one product, one name."""
    return "-".join(_UNSAFE.sub("", product).split())


def _mig_labels(node_labels: Mapping[str, str], number: Callable[[str], int | None]) -> dict[str, MigLabels]:
    mig_labels: dict[str, dict[str, str]] = {}
    for key in node_labels:
        named = _mig_attribute(key)
        if named is not None:
            mig_labels.setdefault(named[0], {})[named[1]] = key
    return {
        canonical(profile): MigLabels(
            count=number(keys.get("count", "")),
            replicas=number(keys.get("replicas", "")),
            strategy=node_labels.get(keys.get("sharing-strategy", "")),
            memory_mib=number(keys.get("memory", "")) or None,
        )
        for profile, keys in sorted(mig_labels.items())
    }


@lru_cache(maxsize=16384)
def _mig_attribute(key: str) -> tuple[str, str] | None:
    """Returns (profile, attribute) of a label of the mixed strategy; None for any other label."""
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
