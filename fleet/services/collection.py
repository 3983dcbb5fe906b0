"""One collection run: collect, fill gaps with last known, load history, evaluate, record, notify.

Task, command, button and first start all call `collect_cluster`; `run_steps` is the story.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic

from django.conf import settings
from django.db import transaction

from fleet.domain.evaluation.evaluate import evaluate
from fleet.domain.health import model_servers, xids
from fleet.domain.snapshot import ClusterSnapshot
from fleet.models import Cluster, CollectionRun
from fleet.services import (
    clusters,
    collection_runs,
    evaluation_history,
    kept_evaluations,
    last_known,
    recording,
    refused_objects,
    same_cluster,
    schedule,
)
from fleet.services.recording import run_events
from fleet.services.snapshot_collection import SnapshotCollector

log = logging.getLogger(__name__)


def collect_cluster(cluster: Cluster, *, trigger: str, deadline_s: float = settings.COLLECT_DEADLINE_S) -> CollectionRun | None:
    """Runs one collection of a cluster and returns its run; None where another worker collects this cluster now.

    What fails at the cluster becomes the run's outcome; only Muster's own errors and a lost database raise.
    """
    with collection_runs.open_run(cluster, trigger) as run:
        if run is None:
            return None
        source = same_cluster.source_of(cluster, clusters.connections())
        if source is None:
            return collection_runs.fail(run, f"Cluster {cluster.name} is no longer in the configuration.")
        started = monotonic()
        collector = SnapshotCollector(
            cluster,
            source,
            telemetry_only=trigger == collection_runs.TELEMETRY,
            deadline_s=deadline_s,
            # Later runs show what was read last; only the first has nothing else to show.
            report=collection_runs.progress_writer(run) if cluster.read_at is None else None,
        )
        refused_objects.leave_out(cluster, run, collector.collect, run_steps)
        collection_runs.add_doubt(run, collector.doubt)
        if not collector.telemetry_only:
            schedule.note_run(cluster, run)
        collection_runs.log_run(cluster, run, collected_s=collector.took_s, total_s=monotonic() - started)
        return run


def run_steps(cluster: Cluster, run: CollectionRun, collect: Callable[[], ClusterSnapshot]) -> None:
    """Collects, evaluates and records one cluster. Called again, with a part of the snapshot, where an object is refused."""
    # 1. Collect: the cluster's API and exporters -> a snapshot of what was read now.
    collected = collect()
    if sentence := same_cluster.refuse_other(cluster, collected, clusters.connections()):
        collection_runs.fail(run, sentence)
        return
    if "nodes" in collected.sections and (sentence := same_cluster.settle(cluster, collected)):
        collection_runs.end_unrecorded(run, collected, sentence)
        return
    # 2. Fill gaps with last known: that snapshot -> one in which only what was never read is missing.
    snapshot = last_known.fill(cluster, collected)
    # 3. Load history: the snapshot's nodes -> what rules need of their past, this run's rates and Xid events included.
    loaded = evaluation_history.load_history(cluster, snapshot)
    snapshot, history = model_servers.watch(snapshot, loaded), xids.watch(snapshot, loaded)
    # 4. Evaluate: snapshot and history -> devices, findings, ladder, verdict and figures of each node (kept where unchanged).
    evaluation = evaluate(snapshot, history, kept_evaluations.of(cluster))
    with transaction.atomic():
        # 5. Record: the evaluation -> rows, revisions and periods; what was collected -> the run and the cluster's row.
        failing_before = cluster.failing_since
        recorded = recording.record(cluster, snapshot, history, evaluation)
        collection_runs.finish(run, collected, recorded.changes)
        recording.record_reading(cluster, collected, run)
        if "nodes" in collected.sections:
            same_cluster.note_context(cluster, collected, clusters.connections())
        # 6. Notify: periods that began or ended at these moments -> events in the outbox; services/notifications sends them.
        run_events.record_run(cluster, collected, recorded.moments, failing_before)
