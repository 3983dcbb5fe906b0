"""The story of one pass: look, judge, remember. Task, command, button and first start all come through here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from fleet.collectors.kube import preload
from fleet.collectors.run import collect
from fleet.collectors.sections import SECTIONS, TELEMETRY_SECTIONS
from fleet.collectors.telemetry import PORTS, Plan
from fleet.domain import serving
from fleet.domain.health import xids
from fleet.domain.judgement import judge
from fleet.domain.outcomes import Outcome
from fleet.domain.snapshot import ClusterSnapshot
from fleet.models import Cluster, CollectionRun, RunOutcome
from fleet.services import clusters, last_truth, recalling, recording
from fleet.services.locks import collection_lock

log = logging.getLogger(__name__)

TELEMETRY = "telemetry"
"""The trigger of a telemetry pass, which asks exporters and model servers only."""


def collect_cluster(cluster: Cluster, *, trigger: str, deadline_s: float = settings.COLLECT_DEADLINE_S) -> CollectionRun | None:
    """One pass over one cluster; None where another worker is reading it right now.

    What a cluster does wrong becomes the run's outcome; only our own mistakes and a lost database raise.
    """
    with collection_lock(cluster.pk) as got:
        if not got:
            return None
        cluster.refresh_from_db()  # another pass may have ended since it was read
        _close_lost_runs(cluster)
        run = CollectionRun.objects.create(cluster=cluster, trigger=trigger, started_at=timezone.now())
        try:
            return _read(cluster, run, deadline_s)
        except Exception as error:
            # Our own mistake, not the cluster's: it goes on to the log, and the run must not stand as running for ever.
            _fail(run, f"Muster itself failed ({type(error).__name__}); its log says where. Nothing was recorded.")
            if trigger != TELEMETRY:
                recording.record_failure(cluster, run)
            raise


def _read(cluster: Cluster, run: CollectionRun, deadline_s: float) -> CollectionRun:
    connection_to = clusters.connections().get(cluster.name)
    if connection_to is None:
        return _fail(run, f"The configuration names no cluster {cluster.name} any more.")
    between = run.trigger == TELEMETRY
    seen = collect(
        connection_to,
        now=_clock(cluster),
        known_gpu_nodes=last_truth.gpu_node_names(cluster),
        known_pods=last_truth.pods_to_ask(cluster, PORTS),
        plan=plan_of(cluster),
        sections=TELEMETRY_SECTIONS if between else SECTIONS,
        deadline_s=min(deadline_s, settings.TELEMETRY_INTERVAL.total_seconds()) if between else deadline_s,
    )
    absorb(cluster, seen, run)
    log.info("%s: %s, %s changes. %s", cluster.name, run.outcome, run.changes, run.error)
    return run


_TICK = timedelta(milliseconds=1)


def _clock(cluster: Cluster) -> Callable[[], datetime]:
    """The time, but never before what was recorded of this cluster: a clock that was set back must not undo history, nor
    stop it. Whoever holds the cluster's lock knows that nobody else records meanwhile."""
    earliest = cluster.taken_at + _TICK if cluster.taken_at else datetime.min.replace(tzinfo=UTC)
    return lambda: max(timezone.now(), earliest)


def absorb(cluster: Cluster, seen: ClusterSnapshot, run: CollectionRun) -> None:
    """What follows from one look: what could not be read is recalled, the whole is judged, and remembered in one transaction."""
    snapshot = last_truth.fill(cluster, seen)
    recalled = recalling.recall(cluster, snapshot)
    snapshot = serving.watch(snapshot, recalled)
    memory = xids.watch(snapshot, recalled)
    judgement = judge(snapshot, memory)
    with transaction.atomic():
        run.changes = recording.record(cluster, snapshot, memory, judgement)
        _finish(run, seen)
        recording.record_reading(cluster, seen, run)


def plan_of(cluster: Cluster) -> Plan:
    """How this cluster's telemetry is read: its own words, else the settings'."""
    return Plan(
        source=cluster.telemetry_source or settings.TELEMETRY_SOURCE,
        prometheus_url=cluster.prometheus_url or settings.PROMETHEUS_URL,
        prometheus_token=settings.PROMETHEUS_TOKEN,
        prometheus_match=cluster.prometheus_match,
        workers=settings.TELEMETRY_WORKERS,
        timeout_s=settings.TELEMETRY_TIMEOUT_S,
        failed_before=last_truth.failed_exporters(cluster),
    )


def collect_by_id(cluster_id: int, *, trigger: str) -> CollectionRun | None:
    """As collect_cluster, for a task that was handed an id; a cluster that is gone by now is no error."""
    cluster = Cluster.objects.filter(pk=cluster_id, removed_at__isnull=True).first()
    return collect_cluster(cluster, trigger=trigger) if cluster else None


def collect_all(*, trigger: str, timeout_s: float) -> list[CollectionRun]:
    """One pass over every configured cluster at once; those that do not answer cost `timeout_s` together, not each."""
    everyone = list(Cluster.objects.filter(removed_at__isnull=True))
    if not everyone:
        return []
    preload()  # threads that import the client at once would meet it half loaded
    pool = ThreadPoolExecutor(max_workers=min(16, len(everyone)), thread_name_prefix="collect")
    passes = [pool.submit(_in_thread, cluster, trigger, timeout_s) for cluster in everyone]
    done, late = wait(passes, timeout=timeout_s + 2)
    pool.shutdown(wait=False, cancel_futures=True)
    if late:
        log.warning("%d of %d clusters did not answer in time; they go on in the background", len(late), len(passes))
    return [run for done_pass in done if (run := done_pass.result()) is not None]


def _in_thread(cluster: Cluster, trigger: str, timeout_s: float) -> CollectionRun | None:
    try:
        return collect_cluster(cluster, trigger=trigger, deadline_s=timeout_s)
    finally:
        connection.close()  # this thread's own


def _close_lost_runs(cluster: Cluster) -> None:
    """Whoever holds the lock knows that no other run is alive: rows still running were left by a worker that died."""
    cluster.runs.filter(outcome=RunOutcome.RUNNING).update(
        outcome=RunOutcome.LOST,
        finished_at=timezone.now(),
        error="The worker died on the way. Nothing of this pass was recorded.",
    )


def _fail(run: CollectionRun, sentence: str) -> CollectionRun:
    run.outcome, run.error, run.finished_at = RunOutcome.FAILED, sentence, timezone.now()
    run.save()
    return run


def _finish(run: CollectionRun, snapshot: ClusterSnapshot) -> None:
    """Outcome: failed without the nodes, partial where another section is missing, else ok. A telemetry pass, which reads no
    nodes, fails where no section of it gave anything."""
    reports = list(snapshot.sections.values())
    broken = [report for report in reports if not report.complete]
    nodes = snapshot.sections.get("nodes") or next((one for one in reports if one not in broken), reports[0])
    if not broken:
        run.outcome = RunOutcome.OK
    elif nodes.complete or nodes.outcome in (Outcome.INCOMPLETE, Outcome.EXPIRED):
        run.outcome = RunOutcome.PARTIAL
    else:
        run.outcome = RunOutcome.FAILED
    # a section that was never asked for only says what stopped the others: theirs is the reason
    asked = [report for report in broken if report.outcome is not Outcome.SKIPPED] or broken
    worst = nodes if nodes in asked else next(iter(asked), None)
    run.error = worst.reason if worst else ""
    run.sections = [
        {
            "name": report.name,
            "outcome": report.outcome.value,
            "count": report.count,
            "took_ms": report.took_ms,
            "reason": report.reason,
            "hides": report.hides,
        }
        for report in reports
    ]
    run.nodes, run.pods = snapshot.section("nodes").count, snapshot.section("pods").count
    run.finished_at = timezone.now()
    run.save()
