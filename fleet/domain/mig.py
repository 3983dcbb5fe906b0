"""MIG: the grammar of profiles, and how many cards a set of instances takes at the least."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from fleet.domain.catalog.gpus import GpuModel, geometry_of
from fleet.domain.quantities import ceil_div

# [<C>c.]<G>g.<M>gb[+me|+gfx|+me.all|-me]. In resource and label names the plus is written as a dot; GFD's product labels drop it.
_PROFILE = re.compile(r"(?:([1-9]\d?)c\.)?([1-9]\d?)g\.([1-9]\d{0,3})gb(?:[+.]?(me\.all|meall|me|gfx)|(-me))?", re.ASCII)
# Compute slices of an instance to the most of it on a card of seven slices: NVIDIA's placement rules for every 7-slice product.
_MOST_OF_SEVEN = {1: 7, 2: 3, 3: 2, 4: 1, 7: 1}


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed MIG profile."""

    name: str
    """Canonical: `1g.10gb+me`."""
    gpu_slices: int
    memory_gb: int
    """The nominal gigabytes of the name; the usable memory is less."""


class Fit(msgspec.Struct, frozen=True):
    """The most instances of a profile that one card holds, and whether the catalogue says so (else it is an upper bound)."""

    most: int
    certain: bool


@lru_cache(maxsize=4096)
def parse_profile(text: str) -> Profile | None:
    """A profile in any of its spellings (`1g.10gb+me`, label form `1g.10gb.me`); None for anything else."""
    match = _PROFILE.fullmatch(text)
    if match is None:
        return None
    compute, gpu, memory, plus, minus = match.groups()
    attribute = f"+{plus.replace('meall', 'me.all')}" if plus else minus or ""
    prefix = f"{compute}c." if compute else ""
    return Profile(name=f"{prefix}{gpu}g.{memory}gb{attribute}", gpu_slices=int(gpu), memory_gb=int(memory))


def canonical(text: str) -> str:
    """The canonical spelling of a profile; text that is none comes back as it is."""
    profile = parse_profile(text)
    return profile.name if profile else text


def sort_key(profile: str) -> tuple[int, int, str]:
    """Profiles from small to large."""
    parsed = parse_profile(profile)
    return (parsed.gpu_slices, parsed.memory_gb, profile) if parsed else (99, 0, profile)


def fit(profile: str, model: GpuModel | None) -> Fit | None:
    """How many instances of the profile one card holds. None where the text is no profile.

    A product or profile the catalogue does not hold gets the placement limit of its slice count, which is never too small.
    """
    parsed = parse_profile(profile)
    if parsed is None:
        return None
    geometry = geometry_of(model)
    if geometry is not None:
        known = geometry.profiles.get(parsed.name)
        if known is not None:
            return Fit(known, True)
        return Fit(max(1, geometry.compute_slices // parsed.gpu_slices), False)
    return Fit(_MOST_OF_SEVEN.get(parsed.gpu_slices, 1), False)


def fewest_cards(instances: Mapping[str, int], model: GpuModel | None) -> int:
    """The fewest cards that can carry these instances together (profile to count); profiles nobody knows count nothing.

    The largest of three bounds: compute slices, memory slices, and each profile's own limit per card.
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
