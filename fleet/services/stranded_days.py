"""Keeps the numbers of stranded GPUs, one sample an hour, added up by day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import F, Max
from django.db.models.functions import Greatest

from fleet.models import Cluster, StrandedDay
from fleet.selectors.placement import stranded as select

APART = timedelta(minutes=30)
"""Samples are at least so far apart, however often they are asked for."""
OLDEST = timedelta(hours=1)
"""Data that is older than this is no sample of now."""


@transaction.atomic
def record(now: datetime) -> int:
    """Adds a sample to the rows of today; returns how many. None where no cluster was read lately, or a sample was just taken."""
    read = Cluster.objects.filter(removed_at__isnull=True).aggregate(newest=Max("read_at"))["newest"]
    last = StrandedDay.objects.aggregate(newest=Max("at"))["newest"]
    if read is None or now - read > OLDEST or (last is not None and now - last < APART):
        return 0
    day, rows = now.astimezone(UTC).date(), select.stranded(now).rows()
    for row in rows:
        newest = {
            "free_gpus": row.free_gpus,
            "stranded_gpus": row.stranded_gpus,
            "unknown_nodes": row.unknown_nodes,
            "reasons": {reason.id: reason.gpus for reason in row.reasons},
            "at": now,
        }
        kept = StrandedDay.objects.filter(day=day, kind=row.kind, name=row.name)
        added = kept.update(
            samples=F("samples") + 1,
            free_sum=F("free_sum") + row.free_gpus,
            stranded_sum=F("stranded_sum") + row.stranded_gpus,
            most_stranded=Greatest("most_stranded", row.stranded_gpus),
            **newest,
        )
        if not added:
            sums = {"free_sum": row.free_gpus, "stranded_sum": row.stranded_gpus, "most_stranded": row.stranded_gpus}
            StrandedDay.objects.create(day=day, kind=row.kind, name=row.name, samples=1, **sums, **newest)
    return len(rows)
