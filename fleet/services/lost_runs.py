"""Closes runs that their worker could not close, and stops collecting a cluster whose runs kill their workers."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.conf import settings

from fleet.models import Cluster, CollectionRun, LossCause, RunOutcome
from fleet.services import recording, run_owners
from fleet.services.locks import collection_lock
from fleet.services.schedule import LONGEST_PAUSE

log = logging.getLogger(__name__)

MOST_LOST = 3
"""Runs in a row that may end with their worker."""
_KILLED = (LossCause.WORKER, LossCause.MEMORY, LossCause.UNKNOWN)


def close(cluster: Cluster, now: datetime) -> int:
    """Closes rows that are still running, with the reason as far as it shows, and returns how many. The lock must be held."""
    rows = list(cluster.runs.filter(outcome=RunOutcome.RUNNING))
    for run in rows:
        run.outcome, run.cause, run.error = run_owners.loss(run)
        run.finished_at = now
        run.save(update_fields=["outcome", "cause", "error", "finished_at"])
        log.error("%s: run of %s: %s", cluster.name, f"{run.started_at:%H:%M:%S}", run.error)
    if rows:
        cluster.troubled_runs += len(rows)
        cluster.save(update_fields=["troubled_runs"])
    return len(rows)


def close_all(now: datetime) -> int:
    """Closes such rows of every cluster, also of those that are not scheduled any more, and returns how many."""
    oldest = now - timedelta(seconds=settings.COLLECT_HARD_LIMIT_S)
    stuck = Cluster.objects.filter(runs__outcome=RunOutcome.RUNNING, runs__started_at__lt=oldest).distinct()
    closed = 0
    for cluster in stuck:
        with collection_lock(cluster.pk) as got:
            if got and (count := close(cluster, now)):
                closed += count
                pause(cluster, now)
    return closed


def pause(cluster: Cluster, now: datetime) -> bool:
    """Pauses a cluster whose newest MOST_LOST runs killed their workers, and returns whether it did. The lock must be held."""
    causes = list(
        cluster.runs.exclude(outcome=RunOutcome.RUNNING)
        .exclude(cause=LossCause.PAUSED)
        .order_by("-started_at", "-id")
        .values_list("cause", flat=True)[:MOST_LOST]
    )
    if len(causes) < MOST_LOST or not set(causes).issubset(_KILLED):
        return False
    cluster.paused_until = now + LONGEST_PAUSE
    cluster.save(update_fields=["paused_until"])
    how = "for lack of memory" if set(causes) == {LossCause.MEMORY} else "with its worker killed"
    sentence = (
        f"Not collected until {cluster.paused_until:%H:%M} UTC:"
        f" each of the last {MOST_LOST} runs ended {how}."
        " “Collect now” tries at once."
    )
    run = CollectionRun.objects.create(
        cluster=cluster,
        trigger="schedule",
        started_at=now,
        finished_at=now,
        outcome=RunOutcome.FAILED,
        cause=LossCause.PAUSED,
        error=sentence,
    )
    recording.record_failure(cluster, run)
    log.error("%s: %s", cluster.name, run.error)
    return True
