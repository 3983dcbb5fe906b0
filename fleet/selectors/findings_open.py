"""Open findings, counted."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Count, Exists, OuterRef, Q

from fleet.models import FindingRow, Silence


def by_severity(now: datetime) -> dict[tuple[str, str, bool], int]:
    """(cluster, severity, silenced) to the number of open findings; one query."""
    silences = Silence.objects.filter(until__gt=now, rule=OuterRef("rule")).filter(
        Q(key="") | Q(key=OuterRef("key")),
        Q(node__isnull=True) | Q(node=OuterRef("node")),
        Q(cluster__isnull=True) | Q(cluster=OuterRef("cluster")),
    )
    rows = (
        FindingRow.objects.filter(period__endswith__isnull=True, cluster__removed_at__isnull=True, cluster__isnull=False)
        .order_by()
        .annotate(silenced=Exists(silences))
        .values_list("cluster__name", "severity", "silenced")
        .annotate(n=Count("pk"))
    )
    return {(cluster, severity, silenced): count for cluster, severity, silenced, count in rows}
