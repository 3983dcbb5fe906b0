"""Statistics of access requests: requests by class and team, waiting times, and GPU pods that use a class."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from fleet.domain.manifests.parameters import CLASS_LABEL
from fleet.models import AccessRequest, AccessRequestStep, Pod


@dataclass(frozen=True, slots=True)
class Numbers:
    """Over the requests made within a window. Durations are medians, None where nothing was measured."""

    requests: int
    by_class: tuple[tuple[str, int], ...]
    by_team: tuple[tuple[str, int], ...]
    by_state: dict[str, int]
    automatic: int
    to_approval: timedelta | None
    """From submission to approval; those granted at once count."""
    to_decision: timedelta | None
    """The same over those that a person approved."""
    to_first_pod: timedelta | None
    """From approval to the first pod that holds slots."""
    rejected: tuple[tuple[str, str, str], ...]
    """(team, class, why) of what was rejected, newest first."""
    gpu_pods: int
    """Pods that hold GPU slots now, the GPU stack's own left out."""
    gpu_pods_of_a_class: int


def numbers(since: datetime) -> Numbers:
    """Four queries."""
    rows = list(
        AccessRequest.objects.filter(created_at__gte=since).values_list(
            "class_version__workload_class__slug", "team__slug", "state", "automatic", "submitted_at", "decided_at",
            "first_pod_at",
        )
    )  # fmt: skip
    waits = [decided - asked for *_, state, _, asked, decided, _ in rows if asked and decided and state != "rejected"]
    by_people = [
        decided - asked
        for *_, state, at_once, asked, decided, _ in rows
        if asked and decided and state != "rejected" and not at_once
    ]
    starts = [first - decided for *_, decided, first in rows if decided and first]
    steps = AccessRequestStep.objects.filter(kind="reject", at__gte=since).select_related(
        "request__team", "request__class_version__workload_class"
    )
    holding = Pod.objects.filter(removed_at__isnull=True, holds=True, component="", slots__gt=0)
    return Numbers(
        requests=len(rows),
        by_class=tuple(Counter(row[0] for row in rows).most_common()),
        by_team=tuple(Counter(row[1] for row in rows).most_common()),
        by_state=dict(Counter(row[2] for row in rows)),
        automatic=sum(1 for row in rows if row[3]),
        to_approval=_median(waits),
        to_decision=_median(by_people),
        to_first_pod=_median(starts),
        rejected=tuple(
            (step.request.team.slug, step.request.class_version.workload_class.slug, step.text)
            for step in steps.order_by("-at")[:20]
        ),
        gpu_pods=holding.count(),
        gpu_pods_of_a_class=holding.filter(snapshot__labels__has_key=CLASS_LABEL).count(),
    )


def _median(durations: list[timedelta]) -> timedelta | None:
    return timedelta(seconds=median(duration.total_seconds() for duration in durations)) if durations else None
