"""When Muster was observing: since when, and when a cluster could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Min
from django.utils.dateparse import parse_datetime

from fleet.models import Cluster, Notice

MOST = 200


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which a cluster could not be read."""

    cluster: str
    since: datetime
    until: datetime
    """Now for one that is still unreachable."""


def observed_from(cluster: str = "") -> datetime | None:
    """Returns when the first collection run of the configured clusters, or of one, was complete; None before it."""
    clusters = Cluster.objects.filter(removed_at__isnull=True, **({"name": cluster} if cluster else {}))
    result: datetime | None = clusters.aggregate(first=Min("first_read_at"))["first"]
    return result


def gaps(since: datetime, until: datetime, now: datetime, cluster: str = "") -> list[Gap]:
    """Returns the times within [since, until) in which a cluster was unreachable for so long that its verdicts turned unknown.

    Oldest first. Two queries.
    """
    scope = {"cluster__name": cluster} if cluster else {}
    over = Notice.objects.filter(kind="cluster", recovery=True, at__gt=since, cluster__removed_at__isnull=True, **scope)
    rows = []
    for name, detail, at in over.order_by("-at").values_list("cluster__name", "detail", "at")[:MOST]:
        text = detail.get("since")
        began = parse_datetime(text) if isinstance(text, str) else None
        if began is not None and began < until and name:
            rows.append(Gap(name, began, at))
    failing = Cluster.objects.filter(removed_at__isnull=True, failing_since__isnull=False, failing_since__lt=until)
    if cluster:
        failing = failing.filter(name=cluster)
    rows += [Gap(name, began, now) for name, began in failing.values_list("name", "failing_since") if began is not None]
    return sorted(rows, key=lambda gap: (gap.since, gap.cluster))
