"""Stranded GPUs of past days, for page and API."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from fleet.models import StrandedDay

MOST_DAYS = 365
MOST_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class DayOfRow:
    """One day of a product, pool or class. Means are over the day's samples, to one decimal."""

    day: date
    kind: str
    name: str
    free_gpus: float
    stranded_gpus: float
    most_stranded: int
    samples: int
    unknown_nodes: int
    reasons: dict[str, int]


def days(now: datetime, number: int, by: str = "", name: str | None = None) -> list[DayOfRow]:
    """Returns the last `number` days, today included, oldest first; days without a sample are missing."""
    since = now.astimezone(UTC).date() - timedelta(days=number - 1)
    rows = StrandedDay.objects.filter(day__gte=since)
    rows = rows.filter(kind=by) if by else rows
    rows = rows.filter(name=name) if name is not None else rows
    return [_row(row) for row in rows.order_by("day", "kind", "name")[:MOST_ROWS]]


def by_row(now: datetime, number: int) -> dict[tuple[str, str], list[DayOfRow]]:
    """Returns kind and name to their last days."""
    grouped: dict[tuple[str, str], list[DayOfRow]] = defaultdict(list)
    for row in days(now, number):
        grouped[row.kind, row.name].append(row)
    return grouped


def _row(row: StrandedDay) -> DayOfRow:
    return DayOfRow(
        day=row.day,
        kind=row.kind,
        name=row.name,
        free_gpus=round(row.free_sum / row.samples, 1),
        stranded_gpus=round(row.stranded_sum / row.samples, 1),
        most_stranded=row.most_stranded,
        samples=row.samples,
        unknown_nodes=row.unknown_nodes,
        reasons=row.reasons,
    )


def day_json(row: DayOfRow) -> dict[str, object]:
    return {
        "day": row.day,
        "by": row.kind,
        "name": row.name or None,
        "free_gpus": row.free_gpus,
        "stranded_gpus": row.stranded_gpus,
        "most_stranded": row.most_stranded,
        "samples": row.samples,
        "unknown_nodes": row.unknown_nodes,
        "reasons": row.reasons,
    }
