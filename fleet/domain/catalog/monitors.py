"""The loader of monitors.toml: whose condition a type is, what it watches, and which status is the bad one."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Literal

import msgspec


class Monitor(msgspec.Struct, frozen=True, kw_only=True):
    """One outside monitor."""

    name: str
    bad: Literal["True", "False"]
    source: str
    types: dict[str, str]


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """All of monitors.toml."""

    monitor: tuple[Monitor, ...]


@cache
def load() -> Catalog:
    """The catalogue that ships with Muster; a malformed file fails loudly."""
    text = resources.files(__package__).joinpath("monitors.toml").read_bytes()
    return msgspec.toml.decode(text, type=Catalog)


@cache
def by_type() -> dict[str, Monitor]:
    """Condition type to the monitor that writes it."""
    return {name: monitor for monitor in load().monitor for name in monitor.types}
