"""Open findings for the pages that show only some: the worst of the fleet, those of one node."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Case, Q, QuerySet, Value, When

from fleet.filters import is_muted
from fleet.models import FindingRow, Node

_WORST_FIRST = Case(
    *(When(severity=severity, then=Value(rank)) for rank, severity in enumerate(("fatal", "critical", "warning", "info"))),
    default=Value(9),
)


@dataclass(frozen=True, slots=True)
class Worst:
    rows: tuple[FindingRow, ...]
    total: int
    """Open ones that nobody muted."""
    muted: int


def _open(now: datetime) -> QuerySet[Any]:
    return FindingRow.objects.filter(period__endswith__isnull=True).annotate(muted=is_muted(now), badness=_WORST_FIRST)


def worst(now: datetime, *, cluster: str = "", limit: int = 5) -> Worst:
    """The worst open findings of the clusters that are configured, or of one of them. Two queries."""
    found = _open(now).filter(Q(cluster__isnull=True) | Q(cluster__removed_at__isnull=True))
    if cluster:
        found = found.filter(cluster__name=cluster)
    muted = list(found.values_list("muted", flat=True))
    rows = (
        found.filter(muted=False)
        .select_related("cluster", "node", "node__cluster")
        .order_by("badness", "period__startswith", "pk")
    )
    return Worst(tuple(rows[:limit]), muted.count(False), muted.count(True))


def of_promise(subject: str, slug: str, now: datetime) -> list[FindingRow]:
    """Open findings of one pool or workload class (`subject`), worst first, muted ones last; each has `muted`. One query."""
    found = _open(now).filter(cluster__isnull=True, subject=subject, key=slug)
    return list(found.order_by("muted", "badness", "period__startswith", "pk"))


def of_node(node: Node, now: datetime) -> list[FindingRow]:
    """Open findings of one node, worst first, muted ones last; each has `muted`. One query."""
    return list(
        _open(now).filter(node=node).select_related("cluster", "node").order_by("muted", "badness", "period__startswith", "pk")
    )
