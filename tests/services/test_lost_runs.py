"""Runs that their own process could not close, each closed with what happened, and clusters whose runs kill their workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.utils import timezone

from fleet import tasks
from fleet.embedded import memory, processes
from fleet.embedded.children import WORKER_STOP
from fleet.models import Cluster, CollectionRun, LossCause, RunOutcome
from fleet.services import collection, lost_runs, run_owners, schedule
from fleet.services.clusters import register_clusters
from fleet.services.collection import collect_cluster
from fleet.simulator.server import Simulation
from tests.services.test_collection import start_process, wait_for
from tests.services.test_rhythm import celery

MINUTE = timedelta(minutes=1)


@pytest.fixture
def cluster(db: None) -> Cluster:
    return Cluster.objects.create(name="east")


def left_running(cluster: Cluster, **worker: Any) -> CollectionRun:
    return CollectionRun.objects.create(
        cluster=cluster, trigger="schedule", started_at=timezone.now(), worker=run_owners.this_process() | worker
    )


def a_dead_process() -> dict[str, int]:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return {"pid": process.pid}


def closed(cluster: Cluster) -> CollectionRun:
    assert lost_runs.close(cluster, timezone.now()) == 1
    run = cluster.runs.get()
    assert run.finished_at is not None
    return run


def test_a_process_that_lives_has_lost_its_database(cluster: Cluster) -> None:
    left_running(cluster)
    run = closed(cluster)
    assert (run.outcome, run.cause) == (RunOutcome.FAILED, LossCause.DATABASE)
    assert run.error == "The database connection was lost during this run. Nothing of it was recorded."


def test_a_process_that_is_gone_has_died(cluster: Cluster) -> None:
    left_running(cluster, **a_dead_process())
    run = closed(cluster)
    assert (run.outcome, run.cause, run.error.split(".")[0]) == ("lost", "worker", "The worker died during this run")


def test_a_pid_that_another_process_has_by_now_is_a_process_that_is_gone(cluster: Cluster) -> None:
    left_running(cluster, started=1)
    assert closed(cluster).cause == LossCause.WORKER


def test_a_process_killed_for_memory_differs_from_one_that_died(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = tmp_path / "vmstat"
    counter.write_text("oom_kill 4\n")
    monkeypatch.setattr(memory, "COUNTERS", (counter,))
    left_running(cluster, memory_kills=3, **a_dead_process())
    run = closed(cluster)
    assert run.cause == LossCause.MEMORY
    assert run.error.startswith("The worker was killed during this run: the kernel ended a process for lack of memory.")


def test_a_process_on_another_host_and_one_that_ended_with_the_database_are_not_blamed_for_more_than_is_known(
    cluster: Cluster,
) -> None:
    left_running(cluster, host="elsewhere")
    run = closed(cluster)
    assert (run.cause, run.error.split(".")[0]) == (
        "unknown", "The worker on elsewhere died or lost its database during this run",
    )  # fmt: skip
    run.delete()
    run = left_running(cluster, **a_dead_process())
    CollectionRun.objects.update(started_at=timezone.now() - timedelta(days=900))
    assert closed(cluster).error.startswith("The worker and the database ended during this run.")


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_breaks_in_a_run_is_the_databases_fault_at_once(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = register_clusters()[0]

    def cut(*_: Any) -> None:
        pid = connection.connection.info.backend_pid
        with connections["default"].copy().cursor() as other:
            other.execute("SELECT pg_terminate_backend(%s)", [pid])
        CollectionRun.objects.count()

    with monkeypatch.context() as patch:
        patch.setattr(collection.recording, "record", cut)
        with pytest.raises(OperationalError):
            collect_cluster(cluster, trigger="schedule")
    run = cluster.runs.get()
    assert (run.outcome, run.cause) == (RunOutcome.FAILED, LossCause.DATABASE)
    assert run.error.startswith("The database connection was lost during this run: ")
    again = collect_cluster(cluster, trigger="schedule")
    assert again is not None
    assert again.outcome == RunOutcome.OK


def lose(cluster: Cluster, times: int) -> None:
    for _ in range(times):
        left_running(cluster, **a_dead_process())
        lost_runs.close(cluster, timezone.now())


def test_exactly_three_runs_in_a_row_that_killed_their_worker_pause_a_cluster(cluster: Cluster) -> None:
    now = timezone.now()
    lose(cluster, 2)
    assert not lost_runs.pause(cluster, now)
    lose(cluster, 1)
    assert lost_runs.pause(cluster, now)
    cluster.refresh_from_db()
    assert cluster.paused_until == now + schedule.LONGEST_PAUSE
    assert cluster.failing_since is not None
    assert cluster.error == (
        f"Not collected until {cluster.paused_until:%H:%M} UTC: each of the last 3 runs ended with its worker killed. "
        "“Collect now” tries at once."
    )
    assert schedule.take_due(now + MINUTE) == []


def test_a_run_in_between_that_ended_by_itself_breaks_the_row_and_a_pause_does_not(cluster: Cluster) -> None:
    lose(cluster, 2)
    CollectionRun.objects.create(cluster=cluster, trigger="cli", started_at=timezone.now(), outcome=RunOutcome.FAILED)
    lose(cluster, 2)
    assert not lost_runs.pause(cluster, timezone.now())
    lose(cluster, 1)
    assert lost_runs.pause(cluster, timezone.now())
    lose(cluster, 1)
    assert lost_runs.pause(cluster, timezone.now()), "one try after the pause is enough"


def test_runs_that_were_not_scheduled_again_are_closed_too(cluster: Cluster) -> None:
    run = left_running(cluster, **a_dead_process())
    assert lost_runs.close_all(timezone.now()) == 0, "it may still be going on"
    CollectionRun.objects.filter(pk=run.pk).update(started_at=timezone.now() - timedelta(seconds=121))
    Cluster.objects.update(removed_at=timezone.now())
    assert lost_runs.close_all(timezone.now()) == 1


@pytest.mark.django_db(transaction=True)
def test_a_cluster_whose_runs_kill_their_worker_is_tried_three_times(simulation: Simulation, tmp_path: Path) -> None:
    """The pool process is killed as the kernel does it for lack of memory; the message comes back each time."""
    cluster = register_clusters()[0]
    simulation.faults(cluster.name).set(unreachable="hang")
    try:
        with celery("worker", "-c", "1", "-Q", "collect,default", tmp_path=tmp_path):
            tasks.enqueue(cluster.pk, "schedule")
            for number in range(1, 4):
                wait_for(lambda number=number: cluster.runs.count() == number and cluster.runs.filter(outcome="running"), 40)
                os.kill(cluster.runs.get(outcome="running").worker["pid"], signal.SIGKILL)
            wait_for(lambda: cluster.runs.filter(cause=LossCause.PAUSED).exists(), 40)
    finally:
        simulation.faults(cluster.name).clear()
    assert list(cluster.runs.order_by("id").values_list("cause", flat=True)) == ["worker"] * 3 + ["paused"]
    run = collect_cluster(cluster, trigger="page")
    assert run is not None
    assert run.outcome == RunOutcome.OK
    cluster.refresh_from_db()
    assert (cluster.paused_until, cluster.troubled_runs, cluster.failing_since) == (None, 0, None)


# A worker whose memory has an end, and a cluster whose recording wants more; Python says so instead of being killed.
_SMALL = """
import resource, sys
import django
django.setup()
from fleet.models import Cluster
from fleet.services import collection, recording
whole = recording.record
def record(cluster, *rest):
    if cluster.name == sys.argv[1]:
        resource.setrlimit(resource.RLIMIT_AS, (2**31, resource.RLIM_INFINITY))
        bytearray(2**32)
    return whole(cluster, *rest)
recording.record = record
for cluster in [*Cluster.objects.all(), *[Cluster.objects.get(name=sys.argv[1])] * 3]:
    try:
        collection.collect_cluster(cluster, trigger="schedule")
    except MemoryError:
        pass
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""


@pytest.mark.django_db(transaction=True)
def test_a_cluster_that_memory_does_not_suffice_for_is_tried_three_times_and_the_others_are_read(simulation: Simulation) -> None:
    poison = sorted(cluster.name for cluster in register_clusters())[0]
    child = start_process(_SMALL, poison)
    assert child.wait(120) == 0
    runs = CollectionRun.objects.filter(cluster__name=poison).order_by("id")
    assert [run.cause for run in runs][:4] == ["memory"] * 3 + ["paused"]
    assert {run.error.split(".")[0] for run in runs[:3]} == {"The worker ran out of memory during this run"}
    assert "each of the last 3 runs ended for lack of memory." in runs[3].error
    others = Cluster.objects.exclude(name=poison)
    assert {run.outcome for run in CollectionRun.objects.filter(cluster__in=others)} == {RunOutcome.OK}
    cluster = Cluster.objects.get(name=poison)
    assert cluster.paused_until is not None
    assert cluster.pk not in schedule.take_due(timezone.now() + MINUTE)


@pytest.mark.django_db(transaction=True)
def test_a_run_that_an_orderly_stop_cuts_short_says_so_and_pauses_nothing(simulation: Simulation, tmp_path: Path) -> None:
    """The worker is stopped as `manage.py run` stops it: SIGTERM, and SIGQUIT for a run that takes too long."""
    cluster = register_clusters()[0]
    simulation.faults(cluster.name).set(unreachable="hang")
    try:
        with celery("worker", "-c", "1", "-Q", "collect,default", tmp_path=tmp_path) as worker:
            tasks.enqueue(cluster.pk, "schedule")
            wait_for(lambda: cluster.runs.filter(outcome="running").exists(), 40)
            processes.stop(worker, ((signal.SIGTERM, 1.0), *WORKER_STOP[1:]))
            wait_for(lambda: not cluster.runs.filter(outcome="running").exists(), 10)
    finally:
        simulation.faults(cluster.name).clear()
    run = cluster.runs.get()
    assert (run.outcome, run.cause) == (RunOutcome.FAILED, LossCause.STOPPED)
    assert run.error == "Muster was stopped during this run. Nothing of it was recorded."
