"""Open findings of one node, pool or workload class, worst first."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias, TypedDict

from django.db.models import Case, QuerySet, Value, When

from fleet.filters import is_silenced
from fleet.models import FindingRow, Node
from fleet.models.joined import joined

_WORST_FIRST = Case(
    *(When(severity=severity, then=Value(rank)) for rank, severity in enumerate(("fatal", "critical", "warning", "info"))),
    default=Value(9),
)


class Ranked(TypedDict):
    """Columns beside a finding."""

    silenced: bool
    badness: int


if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    RankedFindings: TypeAlias = QuerySet[WithAnnotations[FindingRow, Ranked]]


def _open(now: datetime) -> RankedFindings:
    return FindingRow.objects.filter(period__endswith__isnull=True).annotate(silenced=is_silenced(now), badness=_WORST_FIRST)


def of_declaration(subject: str, slug: str, now: datetime) -> list[FindingRow]:
    """Returns open findings of a pool or workload class (`subject`), worst first, silenced ones last. One query."""
    result = _open(now).filter(cluster__isnull=True, subject=subject, key=slug)
    return list(result.order_by("silenced", "badness", "period__startswith", "pk"))


def of_node(node: Node, now: datetime) -> list[FindingRow]:
    """Open findings of one node, worst first, silenced ones last; each has `silenced`. One query."""
    return list(
        joined(_open(now).filter(node=node), "cluster", "node").order_by("silenced", "badness", "period__startswith", "pk")
    )
