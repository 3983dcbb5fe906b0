"""The loader of levels.toml, and the place of a node: its NVLink domain, rack, block and zone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

import msgspec

NVLINK_DOMAIN, RACK, BLOCK, ZONE = "nvlink_domain", "rack", "block", "zone"


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One label that states a level."""

    key: str
    writer: str
    source: str


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """One level of the topology, the closest first."""

    id: str
    title: str
    loss: str
    """What nodes in several of them lose, as a clause."""
    key: tuple[Key, ...]


class _File(msgspec.Struct, frozen=True, kw_only=True):
    level: tuple[Level, ...]


class Domain(msgspec.Struct, frozen=True):
    """One rack, block …: cluster, the label that states it, and its value."""

    cluster: str
    key: str
    value: str


@cache
def levels() -> tuple[Level, ...]:
    """Returns the levels, the closest first; a malformed file fails loudly."""
    text = resources.files(__package__).joinpath("levels.toml").read_bytes()
    return msgspec.toml.decode(text, type=_File).level


@cache
def by_id() -> dict[str, Level]:
    return {level.id: level for level in levels()}


def domain_of(level: str, cluster: str, labels: Mapping[str, str]) -> Domain | None:
    """Returns the domain that a node is in at this level; None where no label states one."""
    for key in by_id()[level].key:
        value = labels.get(key.key)
        if value:
            return Domain(cluster, key.key, value)
    return None
