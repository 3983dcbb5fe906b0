"""The loader of gpus.toml: what is known of a GPU product, by any of its names."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib import resources

import msgspec

MEMORY_TOLERANCE_PERCENT = 3
_VENDORS = frozenset({"NVIDIA", "AMD"})
_SEPARATORS = re.compile(r"[-_\s]+")


class Geometry(msgspec.Struct, frozen=True, kw_only=True):
    """How MIG can partition one GPU."""

    compute_slices: int
    memory_slices: int
    profiles: dict[str, int]
    """Profile to the most instances of it that one card holds."""


class GpuModel(msgspec.Struct, frozen=True, kw_only=True):
    """One product: what a whole card has."""

    product: str
    all: tuple[str, ...]
    none: tuple[str, ...] = ()
    memory_mib: int | None = None
    family: str = ""
    compute: str = ""
    geometry: str = ""
    """Key of the MIG geometry; empty for a GPU without MIG."""
    partitions: dict[str, int] = {}
    """AMD compute-partition mode to devices per card."""
    cloud: tuple[str, ...] = ()
    source: str = ""


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """All of gpus.toml."""

    gpu: tuple[GpuModel, ...]
    geometry: dict[str, Geometry]


@cache
def load() -> Catalog:
    """Returns the catalogue that ships with Muster; a malformed file fails loudly."""
    text = resources.files(__package__).joinpath("gpus.toml").read_bytes()
    return msgspec.toml.decode(text, type=Catalog)


@lru_cache(maxsize=2048)
def find(product: str) -> GpuModel | None:
    """Returns the model behind a product name in any vendor's spelling; None where the catalogue has none."""
    tokens = _tokens(product)
    if not tokens:
        return None
    for model in load().gpu:
        if tokens.issuperset(_tokens_of(model.all)) and not tokens.intersection(_tokens_of(model.none)):
            return model
    return None


@lru_cache(maxsize=2048)
def find_by_cloud_name(name: str, nominal_mib: int | None = None) -> GpuModel | None:
    """Returns the model behind a cloud's own name for it; `nominal_mib` decides where a name has two memory sizes.

    None where the name is not known, or where it is ambiguous and no memory size was given.
    """
    candidates = [model for model in load().gpu if name.lower() in model.cloud]
    if len(candidates) == 1:
        return candidates[0]
    fitting = [model for model in candidates if nominal_mib and memory_agrees(model, nominal_mib)]
    return fitting[0] if len(fitting) == 1 else None


def geometry_of(model: GpuModel | None) -> Geometry | None:
    """Returns the MIG geometry of this GPU; None for unknown GPUs and GPUs without MIG."""
    return load().geometry[model.geometry] if model is not None and model.geometry else None


def memory_agrees(model: GpuModel, mib: int) -> bool:
    """Returns whether a reported memory size can be a whole card of this model, within the tolerance of drivers and ECC."""
    known = model.memory_mib
    return known is not None and abs(mib - known) * 100 <= known * MEMORY_TOLERANCE_PERCENT


def is_same_product(first: str, second: str) -> bool:
    """Returns whether two product names, in any tool's spelling, mean the same model: by the catalogue, else by their words."""
    known, other = find(first), find(second)
    if known is not None and other is not None:
        return known.product == other.product
    return known is None and other is None and _tokens(first) - _VENDORS == _tokens(second) - _VENDORS


def _tokens(text: str) -> frozenset[str]:
    return frozenset(word for word in _SEPARATORS.split(text.upper()) if word)


@cache
def _tokens_of(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(word.upper() for word in words)
