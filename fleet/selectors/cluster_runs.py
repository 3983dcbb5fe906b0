"""How the collection of clusters went over the last day: in steps of half an hour."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Count, F, IntegerField, Q
from django.db.models.functions import Cast, Extract, Floor

from fleet.models import CollectionRun, RunOutcome

STEP = timedelta(minutes=30)
STEPS = 48


@dataclass(frozen=True, slots=True)
class Step:
    """Half an hour of one cluster: the worst that happened, and what it counts."""

    at: datetime
    runs: int
    failed: int
    partial: int

    @property
    def state(self) -> str:
        """Returns failed, partial, ok, or none where no run ended."""
        return "failed" if self.failed else "partial" if self.partial else "ok" if self.runs else "none"


def run_steps(now: datetime) -> dict[int, tuple[Step, ...]]:
    """Returns cluster id to the last STEPS half hours, oldest first; telemetry runs are left out. One query."""
    seconds = int(STEP.total_seconds())
    last = int(now.timestamp()) // seconds
    first = last - STEPS + 1
    rows = (
        CollectionRun.objects.filter(started_at__gte=datetime.fromtimestamp(first * seconds, UTC), finished_at__isnull=False)
        .exclude(trigger="telemetry")
        .order_by()
        .annotate(step=Cast(Floor(Extract(F("started_at"), "epoch") / seconds), IntegerField()))
        .values("cluster_id", "step")
        .annotate(
            runs=Count("pk"),
            failed=Count("pk", filter=Q(outcome__in=(RunOutcome.FAILED, RunOutcome.LOST))),
            partial=Count("pk", filter=Q(outcome=RunOutcome.PARTIAL)),
        )
    )
    counted: dict[int, dict[int, Step]] = defaultdict(dict)
    for row in rows:
        at = datetime.fromtimestamp(row["step"] * seconds, UTC)
        counted[row["cluster_id"]][row["step"]] = Step(at, row["runs"], row["failed"], row["partial"])
    return {
        cluster: tuple(
            steps.get(number) or Step(datetime.fromtimestamp(number * seconds, UTC), 0, 0, 0) for number in range(first, last + 1)
        )
        for cluster, steps in counted.items()
    }
