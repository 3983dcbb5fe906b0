"""Collection runs of all clusters at once, and of a cluster by its id."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime

from django.conf import settings
from django.db import connection
from django.utils import timezone

from fleet.collectors.kube import preload
from fleet.models import Cluster, CollectionRun
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


def collect_all(*, trigger: str, timeout_s: float) -> list[CollectionRun]:
    """Collects every configured cluster at once; clusters that do not answer take `timeout_s` together, not each."""
    rows = list(Cluster.objects.filter(removed_at__isnull=True))
    if not rows:
        return []
    preload()  # threads that import the client at the same time would see it partly loaded
    pool = ThreadPoolExecutor(max_workers=min(16, len(rows)), thread_name_prefix="collect")
    futures = [pool.submit(_in_thread, cluster, trigger, timeout_s) for cluster in rows]
    done, late = wait(futures, timeout=timeout_s + 2)
    pool.shutdown(wait=False, cancel_futures=True)
    if late:
        log.warning("%d of %d clusters did not answer in time; they continue in the background", len(late), len(futures))
    return [run for future in done if (run := _result(future)) is not None]


def _result(done: Future[CollectionRun | None]) -> CollectionRun | None:
    """Returns the run; None where Muster itself failed at one cluster, which must not stop the others nor the start."""
    if error := done.exception():
        log.error("a cluster could not be collected", exc_info=error)
        return None
    return done.result()


def _in_thread(cluster: Cluster, trigger: str, timeout_s: float) -> CollectionRun | None:
    try:
        schedule.start_turn(cluster.pk, timezone.now())
        return collect_cluster(cluster, trigger=trigger, deadline_s=timeout_s)
    finally:
        connection.close()  # this thread's own
