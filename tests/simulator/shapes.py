"""The shape of JSON: which keys there are and of what type, whatever the values. To compare the simulated API with a real one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent.parent / "recorded" / "kubernetes"

FREE_MAPS = {
    "labels", "annotations", "capacity", "allocatable", "fieldsV1", "data", "attributes", "nodeSelector", "matchLabels", "limits",
    "requests",
}  # fmt: skip
"""Objects whose keys are data: their values' types count, their keys do not."""


@dataclass
class Shape:
    """The types seen in one place, and the shapes below."""

    types: set[str] = field(default_factory=set)
    keys: dict[str, Shape] = field(default_factory=dict)
    items: Shape | None = None


def recorded(name: str) -> dict[str, Any]:
    """One recorded exchange: request, status, headers, body or lines."""
    return json.loads((RECORDED / f"{name}.json").read_text())


def shape(values: Iterable[Any], name: str = "") -> Shape:
    """The shape that covers all of the values."""
    made = Shape()
    for value in values:
        _add(made, value, name)
    return made


def _add(made: Shape, value: Any, name: str) -> None:
    made.types.add(_type(value))
    if isinstance(value, dict) and name != "fieldsV1":
        for key, part in value.items():
            place = "*" if name in FREE_MAPS else key
            _add(made.keys.setdefault(place, Shape()), part, key)
    elif isinstance(value, list):
        made.items = made.items or Shape()
        for part in value:
            _add(made.items, part, "")


def _type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return {str: "string", list: "array", dict: "object"}[type(value)]


def differences(real: Shape, simulated: Shape, path: str = "") -> list[str]:
    """Keys the simulated lacks and types that differ; keys it has beyond the real ones are no difference."""
    lines: list[str] = []
    if real.types and simulated.types and not simulated.types <= real.types:
        lines.append(f"{path}: {'/'.join(sorted(simulated.types))} where real answers have {'/'.join(sorted(real.types))}")
    for key, below in real.keys.items():
        if key not in simulated.keys:
            if key != "*":
                lines.append(f"{path}.{key} is missing")
        else:
            lines += differences(below, simulated.keys[key], f"{path}.{key}")
    if real.items is not None and real.items.types:
        if simulated.items is None or not simulated.items.types:
            lines.append(f"{path}[] has no items")
        else:
            lines += differences(real.items, simulated.items, f"{path}[]")
    return lines
