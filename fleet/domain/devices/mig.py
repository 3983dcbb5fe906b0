"""MIG profiles: their grammar, and the fewest GPUs for a set of instances."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

import msgspec

from fleet.domain.catalog.gpus import GpuModel, geometry_of
from fleet.domain.quantities import ceil_div

# [<C>c.]<G>g.<M>gb[+me|+gfx|+me.all|-me]. In resource and label names the plus is written as a dot; GFD's product labels drop it.
_PROFILE = re.compile(r"(?:([1-9]\d?)c\.)?([1-9]\d?)g\.([1-9]\d{0,3})gb(?:[+.]?(me\.all|meall|me|gfx)|(-me))?", re.ASCII)
# Compute slices of an instance to the most of it on a card of seven slices: NVIDIA's placement rules for every 7-slice product.
_ROUNDING_PERCENT = 3
_MOST_OF_SEVEN = {1: 7, 2: 3, 3: 2, 4: 1, 7: 1}


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed MIG profile."""

    name: str
    """Canonical: `1g.10gb+me`."""
    gpu_slices: int
    memory_gb: int
    """Nominal gigabytes of the name; the usable memory is less."""


class Fit(msgspec.Struct, frozen=True):
    """Most instances of a profile on one GPU, and whether the catalogue states it (else it is an upper bound)."""

    most: int
    certain: bool


@lru_cache(maxsize=4096)
def parse_profile(text: str) -> Profile | None:
    """Returns a profile from any of its spellings (`1g.10gb+me`, label form `1g.10gb.me`); None for anything else."""
    match = _PROFILE.fullmatch(text)
    if match is None:
        return None
    compute, gpu, memory, plus, minus = match.groups()
    attribute = f"+{plus.replace('meall', 'me.all')}" if plus else minus or ""
    prefix = f"{compute}c." if compute else ""
    return Profile(name=f"{prefix}{gpu}g.{memory}gb{attribute}", gpu_slices=int(gpu), memory_gb=int(memory))


def canonical(text: str) -> str:
    """Returns the canonical spelling of a profile; other text unchanged."""
    profile = parse_profile(text)
    return profile.name if profile else text


def is_same(profile: str, other: str) -> bool:
    """Returns whether two names can be one profile with differently rounded memory: 3g.20gb and 3g.21gb, 7g.79gb and 7g.80gb.

    GFD, the device plugin and DCGM round the usable memory differently, by 3 % at most (NVIDIA/gpu-feature-discovery#7).
    """
    first, second = parse_profile(profile), parse_profile(other)
    if first is None or second is None or profile == other:
        return profile == other
    kind, other_kind = (parsed.name.partition(f"{parsed.memory_gb}gb") for parsed in (first, second))
    same_kind = (kind[0], kind[2]) == (other_kind[0], other_kind[2])
    apart = abs(first.memory_gb - second.memory_gb)
    return same_kind and (apart <= 1 or apart * 100 <= _ROUNDING_PERCENT * first.memory_gb)


def find_same(profile: str, candidates: Iterable[str]) -> str:
    """Returns the candidate that is this profile, the same name first; empty where none or several are."""
    names = list(candidates)
    if profile in names:
        return profile
    same = [name for name in names if is_same(profile, name)]
    return same[0] if len(same) == 1 else ""


def sort_key(profile: str) -> tuple[int, int, str]:
    """Returns the sort key of a profile, from small to large."""
    parsed = parse_profile(profile)
    return (parsed.gpu_slices, parsed.memory_gb, profile) if parsed else (99, 0, profile)


def fit(profile: str, model: GpuModel | None) -> Fit | None:
    """Returns how many instances of the profile fit on one GPU; None where the text is not a profile.

    A product or profile missing from the catalogue gets the placement limit of its slice count, which is never too small.
    """
    parsed = parse_profile(profile)
    if parsed is None:
        return None
    geometry = geometry_of(model)
    if geometry is not None:
        known = geometry.profiles.get(find_same(parsed.name, geometry.profiles))
        if known is not None:
            return Fit(known, True)
        return Fit(max(1, geometry.compute_slices // parsed.gpu_slices), False)
    return Fit(_MOST_OF_SEVEN.get(parsed.gpu_slices, 1), False)


def fewest_cards(instances: Mapping[str, int], model: GpuModel | None) -> int:
    """Returns the fewest GPUs for these instances together (profile to count); unknown profiles count nothing.

    The largest of three bounds: compute slices, memory slices, and each profile's own limit per GPU.
    """
    geometry = geometry_of(model)
    compute_slices = geometry.compute_slices if geometry else 7
    compute = memory = bound = 0
    for name, count in instances.items():
        parsed, room = parse_profile(name), fit(name, model)
        if parsed is None or room is None or count <= 0:
            continue
        compute += parsed.gpu_slices * count
        bound = max(bound, ceil_div(count, room.most))
        if geometry:
            smallest = min(_gigabytes(profile) for profile in geometry.profiles)
            memory += min(geometry.memory_slices, max(1, round(parsed.memory_gb / smallest))) * count
    bound = max(bound, ceil_div(compute, compute_slices))
    return max(bound, ceil_div(memory, geometry.memory_slices)) if geometry else bound


def _gigabytes(profile: str) -> int:
    parsed = parse_profile(profile)
    return parsed.memory_gb if parsed else 1
