"""Open findings for the pages that show only some: the worst of the fleet, those of one node."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias, TypedDict

from django.db.models import Case, Q, QuerySet, Value, When

from fleet.filters import is_silenced
from fleet.models import FindingRow, Node

_WORST_FIRST = Case(
    *(When(severity=severity, then=Value(rank)) for rank, severity in enumerate(("fatal", "critical", "warning", "info"))),
    default=Value(9),
)


@dataclass(frozen=True, slots=True)
class Worst:
    rows: tuple[FindingRow, ...]
    total: int
    """Open findings that are not silenced."""
    silenced: int


class Ranked(TypedDict):
    """Columns beside a finding."""

    silenced: bool
    badness: int


if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    RankedFindings: TypeAlias = QuerySet[WithAnnotations[FindingRow, Ranked]]


def _open(now: datetime) -> RankedFindings:
    return FindingRow.objects.filter(period__endswith__isnull=True).annotate(silenced=is_silenced(now), badness=_WORST_FIRST)


def worst(now: datetime, *, cluster: str = "", limit: int = 5) -> Worst:
    """The worst open findings of the clusters that are configured, or of one of them. Two queries."""
    result = _open(now).filter(Q(cluster__isnull=True) | Q(cluster__removed_at__isnull=True))
    if cluster:
        result = result.filter(cluster__name=cluster)
    silenced = list(result.values_list("silenced", flat=True))
    rows = (
        result.filter(silenced=False)
        .select_related("cluster", "node", "node__cluster")
        .order_by("badness", "period__startswith", "pk")
    )
    return Worst(tuple(rows[:limit]), silenced.count(False), silenced.count(True))


def of_declaration(subject: str, slug: str, now: datetime) -> list[FindingRow]:
    """Returns open findings of a pool or workload class (`subject`), worst first, silenced ones last. One query."""
    result = _open(now).filter(cluster__isnull=True, subject=subject, key=slug)
    return list(result.order_by("silenced", "badness", "period__startswith", "pk"))


def of_node(node: Node, now: datetime) -> list[FindingRow]:
    """Open findings of one node, worst first, silenced ones last; each has `silenced`. One query."""
    return list(
        _open(now).filter(node=node).select_related("cluster", "node").order_by("silenced", "badness", "period__startswith", "pk")
    )
