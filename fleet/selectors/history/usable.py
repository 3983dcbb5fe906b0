"""Usable physical GPUs of the expected ones over time, from the figures of hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Sum

from fleet.models import Cluster, GpuHour


@dataclass(frozen=True, slots=True)
class Point:
    """One step of the line: means over its time."""

    at: datetime
    """Its beginning."""
    usable: float | None
    """Percent of the expected physical GPUs with known state and not excluded; None if there are none."""
    unknown: float
    """Percent of the expected physical GPUs with unknown state."""
    missing: float | None
    """Physical GPUs, known and meant to serve, that were not usable; None for a step that is not over, or in which the line
    begins: over how much of it the sums go is not kept."""


@dataclass(frozen=True, slots=True)
class Line:
    step: timedelta
    points: tuple[Point, ...]

    @property
    def lowest(self) -> Point | None:
        return min((point for point in self.points if point.usable is not None), key=lambda row: row.usable or 0, default=None)

    @property
    def last(self) -> Point | None:
        return next((point for point in reversed(self.points) if point.usable is not None), None)


def usable_line(since: datetime, until: datetime, *, cluster: str = "") -> Line:
    """In steps of one hour, or longer ones that keep the line under 400 steps. One query, and one for the clusters."""
    clusters = Cluster.objects.filter(removed_at__isnull=True, **({"name": cluster} if cluster else {}))
    hours = max(1, -(-int((until - since).total_seconds()) // (400 * 3600)))
    names = ("expected_s", "usable_s", "unknown_s", "excluded_s")
    rows = (
        GpuHour.objects.filter(hour__gte=since, hour__lt=until, cluster_id__in=list(clusters.values_list("pk", flat=True)))
        .values_list("hour")
        .annotate(*(Sum(name) for name in names))
        .order_by("hour")
    )
    steps: dict[int, list[int]] = {}
    part: set[int] = set()
    for hour, *sums in rows:
        number = int((hour - since).total_seconds()) // (3600 * hours)
        if (not steps and hour > since) or since + timedelta(hours=(number + 1) * hours) > until:
            part.add(number)
        setdefault = steps.setdefault(number, [0] * len(names))
        for place, value in enumerate(sums):
            setdefault[place] += int(value)
    step = timedelta(hours=hours)
    points = (
        point_of(since + number * step, None if number in part else step, *values) for number, values in sorted(steps.items())
    )
    return Line(step, tuple(points))


def point_of(at: datetime, whole: timedelta | None, expected: int, usable: int, unknown: int, excluded: int) -> Point:
    """Returns a step from GPU-seconds; `whole` is its length where all of it is in the sums, else None."""
    serving = expected - unknown - excluded
    return Point(
        at=at,
        usable=100 * min(usable, serving) / serving if serving > 0 else None,
        unknown=100 * unknown / expected if expected else 0.0,
        missing=None if whole is None else max(0, serving - usable) / whole.total_seconds(),
    )
