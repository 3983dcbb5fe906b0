"""Collection runs of all clusters at once, and of a cluster by its id."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.db import connection
from django.utils import timezone

from fleet.collectors.errors import shorten
from fleet.collectors.kube import preload
from fleet.models import Cluster, CollectionRun, RunOutcome
from fleet.services import schedule
from fleet.services.collection import collect_cluster

log = logging.getLogger(__name__)


def collect_by_id(cluster_id: int, *, trigger: str, deadline_s: float = settings.COLLECT_DEADLINE_S) -> CollectionRun | None:
    """Collects the cluster with this id; None where it was removed since the task was queued."""
    cluster = Cluster.objects.filter(pk=cluster_id, removed_at__isnull=True).first()
    return collect_cluster(cluster, trigger=trigger, deadline_s=deadline_s) if cluster else None


def collect_next(now: datetime) -> bool:
    """Collects the most urgent cluster that waits, and returns whether that freed a place which the next one may take."""
    with schedule.next_turn(now) as turn:
        if turn is None:
            return False
        collect_by_id(turn.cluster_id, trigger="schedule", deadline_s=turn.deadline_s)
        return turn.is_slow_lane


class FirstLook(NamedTuple):
    """How it went to collect every cluster once."""

    runs: list[CollectionRun]
    troubles: dict[str, str]
    """A sentence for each cluster that was not read, by its name."""


def collect_all(*, trigger: str, timeout_s: float) -> FirstLook:
    """Collects every configured cluster at once; clusters that do not answer take `timeout_s` together, not each.

    Raises nothing for one cluster: that must not stop the others, nor the start.
    """
    rows = list(Cluster.objects.filter(removed_at__isnull=True))
    look = FirstLook([], {})
    if not rows:
        return look
    preload()  # threads that import the client at the same time would see it partly loaded
    pool = ThreadPoolExecutor(max_workers=min(16, len(rows)), thread_name_prefix="collect")
    futures = {pool.submit(_in_thread, cluster, trigger, timeout_s): cluster.name for cluster in rows}
    done, late = wait(futures, timeout=timeout_s + 2)
    pool.shutdown(wait=False, cancel_futures=True)
    look.troubles.update((futures[future], "no answer in time; it is read in the background") for future in late)
    for future in done:
        _note(look, futures[future], future)
    return look


def _note(look: FirstLook, name: str, future: Future[CollectionRun | None]) -> None:
    if error := future.exception():
        log.error("%s could not be collected", name, exc_info=error)
        reason = (str(error).strip().splitlines() or [""])[0]
        look.troubles[name] = shorten(f"Muster itself failed ({type(error).__name__}: {reason}); its log has the details")
    elif run := future.result():
        look.runs.append(run)
        if run.outcome == RunOutcome.FAILED:
            look.troubles[name] = shorten(run.error).rstrip(".")


def _in_thread(cluster: Cluster, trigger: str, timeout_s: float) -> CollectionRun | None:
    try:
        schedule.start_turn(cluster.pk, timezone.now())
        return collect_cluster(cluster, trigger=trigger, deadline_s=timeout_s)
    finally:
        connection.close()  # this thread's own
