"""Beat, broker and workers for real: due clusters are read, a killed worker's pass is repaired, two beats do no harm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from django.conf import settings

from fleet import tasks
from fleet.config import beat
from fleet.config.celery import app
from fleet.models import Cluster, CollectionRun, RunOutcome
from fleet.services.clusters import register_clusters
from fleet.simulator.server import Simulation
from tests.beside import environment_beside
from tests.services.test_collection import ROOT, wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _empty_broker() -> None:
    if not settings.CELERY_BROKER_URL.startswith("redis+socket://"):
        pytest.fail("these tests empty the broker: they run on the one that `manage.py test` starts")
    path = settings.CELERY_BROKER_URL.removeprefix("redis+socket://").split("?")[0]
    redis.Redis(unix_socket_path=path).flushall()


@contextmanager
def celery(*arguments: str, tmp_path: Path, interval_s: int = 5) -> Iterator[subprocess.Popen[bytes]]:
    """A worker or a beat in processes of its own, on the test's database and broker."""
    environment = environment_beside(MUSTER_COLLECT_INTERVAL=str(interval_s))
    log = (tmp_path / f"{arguments[0]}-{time.monotonic_ns()}.log").open("wb")
    command = [sys.executable, "-m", "celery", "-A", "fleet.config.celery", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """The process and its children, without a word."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait(10)


def read(name: str) -> int:
    return CollectionRun.objects.filter(cluster__name=name, outcome=RunOutcome.OK).count()


def test_two_beats_and_a_worker_read_every_cluster_once_an_interval(simulation: Simulation, tmp_path: Path) -> None:
    began = time.monotonic()
    with (
        celery("worker", "-c", "2", "-Q", "collect,default", tmp_path=tmp_path),
        celery("beat", "-s", str(tmp_path / "one"), tmp_path=tmp_path),
        celery("beat", "-s", str(tmp_path / "two"), tmp_path=tmp_path),
    ):
        wait_for(lambda: all(read(name) >= 3 for name in simulation.servers), 90)
    turns = (time.monotonic() - began) / 5 + 1
    for cluster in Cluster.objects.all():
        assert cluster.runs.count() <= turns, "two beats make no second pass"


def test_a_deaf_cluster_does_not_delay_the_others(simulation: Simulation, tmp_path: Path) -> None:
    deaf, *others = sorted(simulation.servers)
    simulation.faults(deaf).set(unreachable="hang")
    with (
        celery("worker", "-c", "2", "-Q", "collect,default", tmp_path=tmp_path),
        celery("beat", "-s", str(tmp_path / "one"), tmp_path=tmp_path),
    ):
        wait_for(lambda: all(read(name) >= 2 for name in others), 60)
    assert read(deaf) == 0


def test_a_worker_killed_in_its_pass_loses_nothing(simulation: Simulation, tmp_path: Path) -> None:
    cluster = register_clusters()[0]
    simulation.faults(cluster.name).set(unreachable="hang")
    with celery("worker", "-c", "1", "-Q", "collect,default", tmp_path=tmp_path) as doomed:
        tasks.enqueue(cluster.pk, "schedule")
        wait_for(lambda: cluster.runs.filter(outcome=RunOutcome.RUNNING).exists(), 40)
        kill(doomed)
    simulation.faults(cluster.name).clear()
    with celery("worker", "-c", "1", "-Q", "collect,default", tmp_path=tmp_path):
        tasks.enqueue(cluster.pk, "schedule")
        wait_for(lambda: read(cluster.name) >= 1, 40)
    outcomes = list(cluster.runs.order_by("started_at").values_list("outcome", flat=True))
    assert outcomes[0] == RunOutcome.LOST
    assert RunOutcome.RUNNING not in outcomes


def test_worker_and_beat_touch_their_heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(name: str) -> int:
        return (tmp_path / name).stat().st_mtime_ns if (tmp_path / name).exists() else 0

    monkeypatch.setenv("MUSTER_HEARTBEAT_FILE", str(tmp_path / "worker"))
    with celery("worker", "-c", "1", tmp_path=tmp_path):
        monkeypatch.setenv("MUSTER_HEARTBEAT_FILE", str(tmp_path / "beat"))
        with celery("beat", "-s", str(tmp_path / "schedule"), tmp_path=tmp_path):
            wait_for(lambda: touched("worker") and touched("beat"), 40)
            first = {name: touched(name) for name in ("worker", "beat")}
            wait_for(lambda: all(touched(name) > before for name, before in first.items()), 20)


def test_a_clock_that_was_set_back_does_not_stop_beat(tmp_path: Path) -> None:
    scheduler = beat.Scheduler(app=app, schedule_filename=str(tmp_path / "schedule"))
    entry = scheduler.schedule["tick"]
    assert entry.is_due().is_due is False
    entry.last_run_at = entry.default_now() + timedelta(hours=2)
    assert entry.is_due().next > 7_000
    scheduler.forget_future()
    assert entry.is_due().is_due is True
    scheduler.close()
