"""The loader of monitors.toml: who writes a condition, label, annotation or taint, and what its values mean."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib import resources
from typing import Literal, NamedTuple

import msgspec

Meaning = Literal[
    "fault", "warning", "predicted", "validating", "repair", "drained", "quarantined", "maintenance", "reserved", "good"
]
OUT_OF_SERVICE: frozenset[Meaning] = frozenset({"validating", "repair", "drained", "quarantined", "maintenance"})
"""Meanings that keep workloads off a node."""
Place = Literal["label", "annotation", "taint", "pod_condition"]


class Monitor(msgspec.Struct, frozen=True, kw_only=True):
    """One outside monitor that writes node conditions."""

    name: str
    bad: Literal["True", "False"]
    source: str
    types: dict[str, str]
    critical: tuple[str, ...] = ()
    """Types that their monitor sets for fatal faults only: critical also where their text names no code."""


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """One key that an outside tool writes on a node or on its pods, and what its values mean."""

    monitor: str
    on: Place
    key: str
    prefix: bool = False
    """Whether `key` is what the key begins with; of a condition the rest of its type is then the value."""
    match: Literal["value", "first_word"] = "value"
    area: str
    values: dict[str, Meaning]
    source: str

    def meaning(self, value: str) -> Meaning | None:
        """Returns what a value means; None for a value without a meaning."""
        text = value.replace("_", " ").partition(" ")[0] if self.match == "first_word" else value
        exact = self.values.get(text)
        return exact or _in_any_case(self.values, text) or (self.values.get("*") if text else None)


def _in_any_case(values: dict[str, Meaning], text: str) -> Meaning | None:
    """Returns the meaning of a value without regard to case: versions of one tool write PASS and Pass, false and False."""
    folded = text.casefold()
    return next((meaning for value, meaning in values.items() if value.casefold() == folded), None)


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """All of monitors.toml."""

    watchers: dict[str, str]
    """Monitor to its name where tools are compared."""
    monitor: tuple[Monitor, ...]
    signal: tuple[Signal, ...]


@cache
def load() -> Catalog:
    """Returns the catalogue that ships with Muster; a malformed file fails loudly."""
    text = resources.files(__package__).joinpath("monitors.toml").read_bytes()
    return msgspec.toml.decode(text, type=Catalog)


@cache
def by_type() -> dict[str, Monitor]:
    """Condition type to the monitor that writes it."""
    return {name: monitor for monitor in load().monitor for name in monitor.types}


@cache
def names() -> frozenset[str]:
    """Returns every monitor of the catalogue."""
    return frozenset(entry.name for entry in load().monitor) | frozenset(entry.monitor for entry in load().signal)


def watcher(monitor: str) -> str:
    """Returns the name of a monitor where tools are compared: a provider that writes in several places is one watcher."""
    return load().watchers.get(monitor, monitor)


class _Signals(NamedTuple):
    """The signals of a place."""

    exact: dict[str, Signal]
    prefixed: tuple[Signal, ...]
    prefixes: tuple[str, ...]


@cache
def _signals(place: Place) -> _Signals:
    signals = [signal for signal in load().signal if signal.on == place]
    prefixed = tuple(signal for signal in signals if signal.prefix)
    exact = {signal.key: signal for signal in signals if not signal.prefix}
    return _Signals(exact, prefixed, tuple(signal.key for signal in prefixed))


@lru_cache(maxsize=8192)
def signal_of(place: Place, key: str) -> Signal | None:
    """Returns the signal of this key; None for most labels of a node. Thousands of nodes carry the same hundred keys."""
    signals = _signals(place)
    if key in signals.exact:
        return signals.exact[key]
    if not key.startswith(signals.prefixes):
        return None
    return next(signal for signal in signals.prefixed if key.startswith(signal.key))
