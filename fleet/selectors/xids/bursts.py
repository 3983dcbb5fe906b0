"""Xid bursts over a window, summed by code."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, Count, F, Max, QuerySet, Sum, When
from django.db.models.fields import CharField
from django.db.models.functions import Cast

from fleet.domain.catalog import xids
from fleet.models import XidBurstRow


@dataclass(frozen=True, slots=True)
class BurstSum:
    """Bursts of one Xid code. `events` is a lower bound: the gauge shows only the last code."""

    code: int
    name: str
    """As the catalogue has it."""
    bursts: int
    incidents: int
    """Bursts of one crash over several nodes count once."""
    events: int
    gpus: int
    nodes: int
    last_at: datetime


def bursts_by_code(since: datetime, until: datetime, *, cluster: str = "") -> list[BurstSum]:
    """Codes with a burst that touches the window, the most bursts first. One query."""
    rows: QuerySet[XidBurstRow] = XidBurstRow.objects.filter(
        started_at__lt=until, last_at__gte=since, node__cluster__removed_at__isnull=True
    )
    if cluster:
        rows = rows.filter(node__cluster__name=cluster)
    # a burst that belongs to no crash over several nodes is an incident of its own
    own = Case(When(incident="", then=Cast("pk", CharField())), default=F("incident"), output_field=CharField())
    result = rows.values("code").annotate(
        bursts=Count("pk"), incidents=Count(own, distinct=True), events=Sum("count"), gpus=Count("uuid", distinct=True),
        nodes=Count("node", distinct=True), last=Max("last_at"),
    )  # fmt: skip
    return [
        BurstSum(
            code=row["code"],
            name=xids.meaning(row["code"]).name,
            bursts=row["bursts"],
            incidents=row["incidents"],
            events=row["events"],
            gpus=row["gpus"],
            nodes=row["nodes"],
            last_at=row["last"],
        )
        for row in result.order_by("-bursts", "code")
    ]
