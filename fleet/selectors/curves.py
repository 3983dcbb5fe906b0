"""The recent curves of a node's cards, few enough points for a drawing a few dozen pixels wide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from fleet.models import Node
from fleet.selectors import telemetry

Points = list[tuple[datetime, float]]

DRAWN = 96
"""Points of a curve at most: more cannot be seen."""


def card_curves(node: Node, metrics: Sequence[str], since: datetime, until: datetime) -> dict[str, dict[str, Points]]:
    """Device key to metric id to points, oldest first, from wherever selectors.telemetry has them."""
    result: dict[str, dict[str, Points]] = defaultdict(dict)
    for curve in telemetry.curves_of(node, since, until, metrics, points=DRAWN).curves:
        result[curve.key][curve.metric.id] = curve.points
    return dict(result)
