"""The row of a collection run: opened under the cluster's lock, finished with an outcome, closed where its worker died."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from fleet.collectors.session import Progress
from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.snapshot.sections import Outcome
from fleet.models import Cluster, CollectionRun, LossCause, RunOutcome
from fleet.services import clock, lost_runs, recording, run_owners
from fleet.services.locks import collection_lock

log = logging.getLogger(__name__)

TELEMETRY = "telemetry"
"""The trigger of a telemetry run, which scrapes exporters and model servers only."""


@contextmanager
def open_run(cluster: Cluster, trigger: str) -> Iterator[CollectionRun | None]:
    """Yields a new run of a cluster whose lock is held. Raises Muster's own errors again.

    None where another worker holds the lock, or where the runs before killed their workers, which is recorded then.
    """
    with collection_lock(cluster.pk) as got:
        if not got:
            yield None
            return
        cluster.refresh_from_db()  # another run may have ended since the row was read
        now = clock.now()
        if lost_runs.close(cluster, now) and lost_runs.pause(cluster, now):
            yield None
            return
        run = CollectionRun.objects.create(cluster=cluster, trigger=trigger, started_at=now, worker=run_owners.this_process())
        try:
            yield run
        except BaseException as error:
            # Not a fault of the cluster: the caller logs it, and the run must not stay "running" forever.
            _close_broken(cluster, run, error)
            raise


def progress_writer(run: CollectionRun) -> Callable[[Progress], None]:
    """Returns what keeps on a run how far its lists of nodes and pods have been read: at most one statement a page."""

    def write(progress: Progress) -> None:
        if progress.resource in ("nodes", "pods"):
            run.progress = progress._asdict()
            CollectionRun.objects.filter(pk=run.pk).update(progress=run.progress)

    return write


def _close_broken(cluster: Cluster, run: CollectionRun, error: BaseException) -> None:
    """Closes a run that an error ended. While the database is down, the row stays as it is."""
    run.cause, sentence = _reason(error)
    with contextlib.suppress(DatabaseError):
        fail(run, f"{sentence} {run_owners.NOTHING}")
        if run.trigger != TELEMETRY and isinstance(error, Exception):
            recording.record_failure(cluster, run)
            if run.cause == LossCause.MEMORY:
                lost_runs.pause(cluster, clock.now())


def _reason(error: BaseException) -> tuple[str, str]:
    """Returns cause and sentence of what ended a run: the database, a time limit, an orderly stop, or a bug."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if isinstance(error, OperationalError | InterfaceError):
        if not _went_away(error):
            return LossCause.DATABASE, f"The database refused a statement of this run: {text}."
        connection.close()  # so that the next query opens another
        return LossCause.DATABASE, f"The database connection was lost during this run: {text}."
    if isinstance(error, SoftTimeLimitExceeded):
        return "", f"The run took longer than {settings.COLLECT_SOFT_LIMIT_S} s and was ended."
    if isinstance(error, MemoryError):
        return LossCause.MEMORY, "The worker ran out of memory during this run."
    if not isinstance(error, Exception):
        return LossCause.STOPPED, "Muster was stopped during this run."
    return "", f"Muster itself failed ({type(error).__name__}); its log has the details."


def _went_away(error: Exception) -> bool:
    """Returns whether the connection is lost: an error without a state is the client's own, 08 and 57P are lost connections."""
    state = getattr(error.__cause__, "sqlstate", None)
    return state is None or state.startswith(("08", "57P"))


def fail(run: CollectionRun, sentence: str) -> CollectionRun:
    """Closes a run of which nothing was recorded."""
    run.outcome, run.error, run.finished_at = RunOutcome.FAILED, sentence, clock.now()
    run.save()
    return run


def finish(run: CollectionRun, collected: ClusterSnapshot, changes: int | None) -> None:
    """Writes outcome, counts and section reports of a run.

    Failed without the nodes, partial where another section is missing, else ok. A telemetry run, which does not read nodes,
    fails where none of its sections returned data.
    """
    reports = list(collected.sections.values())
    broken = [report for report in reports if not report.complete]
    nodes = collected.sections.get("nodes") or next((item for item in reports if item not in broken), reports[0])
    if not broken:
        run.outcome = RunOutcome.OK
    elif nodes.complete or nodes.outcome in (Outcome.INCOMPLETE, Outcome.EXPIRED):
        run.outcome = RunOutcome.PARTIAL
    else:
        run.outcome = RunOutcome.FAILED
    # a skipped section only repeats what stopped the others: their reason is the cause
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
    run.nodes, run.pods = collected.section("nodes").count, collected.section("pods").count
    run.changes = changes
    run.finished_at = clock.now()
    run.save()


def end_unrecorded(run: CollectionRun, collected: ClusterSnapshot, sentence: str) -> None:
    """Closes a run that was collected and is recorded under another name; the sentence says which."""
    finish(run, collected, None)
    run.error = sentence
    run.save(update_fields=["error"])


def add_doubt(run: CollectionRun, doubt: str) -> None:
    """Adds to a run without an error that its lists were implausibly short twice."""
    if doubt and not run.error:
        run.error = f"{doubt} Requested again, the API server returned the same."
        run.save(update_fields=["error"])


def log_run(cluster: Cluster, run: CollectionRun, *, collected_s: float, total_s: float) -> None:
    """Logs one line per run: counts and milliseconds."""
    log.info(
        "%s: %s run %s: %s nodes, %s pods, %s changes; collected in %d ms, evaluated and recorded in %d ms. %s",
        cluster.name,
        run.trigger,
        run.outcome,
        run.nodes,
        run.pods,
        run.changes,
        1000 * collected_s,
        1000 * (total_s - collected_s),
        run.error,
    )
