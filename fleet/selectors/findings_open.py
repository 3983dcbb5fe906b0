"""Open findings, counted."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Count, Exists, OuterRef, Q

from fleet.models import FindingRow, Mute


def by_severity(now: datetime) -> dict[tuple[str, str, bool], int]:
    """(cluster, severity, muted) to how many stand open; one query."""
    mutes = Mute.objects.filter(until__gt=now, rule=OuterRef("rule")).filter(
        Q(key="") | Q(key=OuterRef("key")),
        Q(node__isnull=True) | Q(node=OuterRef("node")),
        Q(cluster__isnull=True) | Q(cluster=OuterRef("cluster")),
    )
    rows = (
        FindingRow.objects.filter(period__endswith__isnull=True, cluster__removed_at__isnull=True, cluster__isnull=False)
        .order_by()
        .annotate(muted=Exists(mutes))
        .values_list("cluster__name", "severity", "muted")
        .annotate(n=Count("pk"))
    )
    return {(cluster, severity, muted): count for cluster, severity, muted, count in rows}
