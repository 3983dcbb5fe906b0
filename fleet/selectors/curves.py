"""The recent curves of a node's cards, thinned for a drawing a few dozen pixels wide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from fleet.models import Node, TelemetryFrame

Points = list[tuple[datetime, float | None]]

DRAWN = 96
"""Points of a curve at most: more cannot be seen."""


def card_curves(node: Node, metrics: Iterable[str], since: datetime, until: datetime) -> dict[str, dict[str, Points]]:
    """Device key to metric id to points, oldest first: the mean of each of at most 96 buckets. One query."""
    wanted = tuple(metrics)
    step = (until - since) / DRAWN
    sums: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    frames = TelemetryFrame.objects.filter(node_id=node.pk, at__gte=since, at__lte=until).values_list("at", "values")
    for at, values in frames:
        bucket = _bucket(at, since, step)
        for key, told in values.items():
            for metric in wanted:
                if metric in told:
                    sums[key, metric][bucket].append(told[metric])
    found: dict[str, dict[str, Points]] = defaultdict(dict)
    for (key, metric), buckets in sums.items():
        found[key][metric] = [(since + step * (place + 0.5), sum(of) / len(of)) for place, of in sorted(buckets.items())]
    return dict(found)


def _bucket(at: datetime, since: datetime, step: timedelta) -> int:
    return min(DRAWN - 1, int((at - since) / step))
