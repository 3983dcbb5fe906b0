"""The loader of metrics.toml: what exporters measure, Muster's name for it, and the line that enables it."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Literal

import msgspec


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is measured on a GPU or MIG instance."""

    id: str
    title: str
    unit: str
    """Of the value as Muster keeps it; empty for a bare number."""
    kind: Literal["gauge", "counter"]
    wires: tuple[str, ...]
    """Names on the wire that need no factor."""
    scaled: dict[str, float] = {}
    """Further names, to the factor that makes their value one of `unit`."""
    amd: dict[str, float] = {}
    """Names of AMD's device metrics exporter, to their factor."""
    scope: Literal["card", "instance"]
    """instance: a MIG instance has a value of its own. card: instances repeat their card's value, or have none."""
    default: bool
    """Whether the exporter's own counters CSV enables it."""
    csv: str
    """The line of the counters CSV that enables it."""
    health: bool = False
    """Whether its absence blinds a health rule."""
    zero_is_absent: bool = False
    whole: bool = False
    """Whether only whole numbers are values of it: codes."""
    curve: bool = False
    """Whether a recent history of it is kept for the node's page."""
    note: str = ""
    least: float | None = None
    """The smallest value it can have, where that differs from its unit's."""
    most: float | None = None
    """The largest, likewise."""


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """What a value of one unit can be, both ends allowed."""

    unit: str
    least: float
    most: float


class Special(msgspec.Struct, frozen=True, kw_only=True):
    """A series of the exporter itself, with one value for each value of a label."""

    wire: str
    field: Literal["xid_counts", "watches", "clock_events"]
    """Where domain.telemetry.DeviceSample keeps them."""
    label: str
    title: str
    csv: str


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """All of metrics.toml."""

    metric: tuple[Metric, ...]
    range: tuple[Range, ...]
    special: tuple[Special, ...]


@cache
def load() -> Catalog:
    """Returns the catalogue that ships with Muster; a malformed file fails loudly."""
    text = resources.files(__package__).joinpath("metrics.toml").read_bytes()
    return msgspec.toml.decode(text, type=Catalog)


@cache
def by_id() -> dict[str, Metric]:
    """Metric id to metric, in the catalogue's order."""
    return {metric.id: metric for metric in load().metric}


@cache
def csv_lines() -> dict[str, tuple[str, str]]:
    """Metric id, or field of the exporter's own series, to its title and the line of the counters CSV that enables it."""
    lines = {metric.id: (metric.title, metric.csv) for metric in load().metric}
    return lines | {special.field: (special.title, special.csv) for special in load().special}


@cache
def by_wire() -> dict[str, tuple[Metric, float]]:
    """DCGM's name on the wire to the metric and the factor of its value."""
    return {
        name: (metric, factor)
        for metric in load().metric
        for name, factor in [*((wire, 1.0) for wire in metric.wires), *metric.scaled.items()]
    }


@cache
def by_amd_wire() -> dict[str, tuple[Metric, float]]:
    """AMD's name on the wire, in lower case and without a prefix, to the metric and the factor of its value."""
    return {name: (metric, factor) for metric in load().metric for name, factor in metric.amd.items()}


@cache
def special_by_wire() -> dict[str, Special]:
    """Returns the exporter's own series by their names on the wire."""
    return {special.wire: special for special in load().special}


@cache
def range_of(metric_id: str) -> Range:
    """Returns the values that a metric can have: its own limits, else its unit's."""
    metric = by_id()[metric_id]
    of_unit = next(entry for entry in load().range if entry.unit == metric.unit)
    return Range(
        unit=metric.unit,
        least=of_unit.least if metric.least is None else metric.least,
        most=of_unit.most if metric.most is None else metric.most,
    )
