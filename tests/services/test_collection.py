"""The story of a run over real HTTP and a real Postgres, with everything that may happen on the way."""

from __future__ import annotations

import logging
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from msgspec import structs

from fleet.domain.snapshot import ClusterSnapshot
from fleet.embedded.lock import HomeLock
from fleet.management.commands.run import Start
from fleet.models import Cluster, CollectionRun, Node, NodeRevision, Pod, RunOutcome
from fleet.services import collection, collection_runs, recording, snapshot_collection
from fleet.services.clusters import register_clusters
from fleet.services.collection import collect_cluster
from fleet.services.fleet_collection import collect_all
from fleet.services.locks import collection_lock
from fleet.simulator.server import Simulation
from tests.beside import environment_beside

ROOT = Path(__file__).resolve().parents[2]


def ages_of(cluster: Cluster) -> dict[str, Any]:
    cluster.refresh_from_db()
    return cluster.section_read_at


@pytest.mark.django_db
def test_one_pass_remembers_what_the_cluster_says(simulation: Simulation) -> None:
    clusters = {cluster.name: cluster for cluster in register_clusters()}
    assert sorted(clusters) == sorted(simulation.servers)
    for name, cluster in clusters.items():
        run = collect_cluster(cluster, trigger="cli")
        assert run is not None
        assert (run.outcome, run.error) == (RunOutcome.OK, "")
        assert {section["name"] for section in run.sections} >= {"nodes", "pods", "operator", "version", "permissions"}
        nodes = {node.name for node in simulation.fleet[name].nodes.values()}
        assert {node.name for node in cluster.nodes.all()} <= nodes
        cluster.refresh_from_db()
        assert cluster.read_at is not None
        assert cluster.node_count == len(nodes)
        assert cluster.server_version.startswith("v1.")


@pytest.mark.django_db
def test_a_first_run_keeps_how_far_it_has_read_and_a_later_one_writes_nothing(simulation: Simulation) -> None:
    cluster = register_clusters()[0]
    for is_first in (True, False):
        run = collect_cluster(cluster, trigger="cli")
        assert run is not None
        run.refresh_from_db()
        assert (run.progress is not None) is is_first


@pytest.mark.django_db
def test_a_run_is_one_log_line_with_counts_and_milliseconds(simulation: Simulation, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=collection_runs.__name__)
    cluster = register_clusters()[0]
    run = collect_cluster(cluster, trigger="cli")
    assert run is not None
    (line,) = [record.getMessage() for record in caplog.records if record.name == collection_runs.__name__]
    counts = rf"{run.nodes} nodes, {run.pods} pods, {run.changes} changes"
    assert run.nodes
    assert run.pods
    assert re.fullmatch(rf"{cluster.name}: cli run ok: {counts}; collected in \d+ ms, evaluated and recorded in \d+ ms\. ", line)


@pytest.mark.django_db
def test_a_second_pass_over_an_unchanged_cluster_writes_no_inventory(simulation: Simulation) -> None:
    clusters = register_clusters()
    for cluster in clusters:
        collect_cluster(cluster, trigger="cli")
    revisions = NodeRevision.objects.count()
    for cluster in clusters:
        run = collect_cluster(cluster, trigger="cli")
        assert run is not None
        assert run.changes == 0, cluster
    assert NodeRevision.objects.count() == revisions


@pytest.mark.django_db
def test_a_deleted_node_and_a_recreated_one(simulation: Simulation) -> None:
    cluster = next(register_cluster for register_cluster in register_clusters() if register_cluster.name == "prod-us-east")
    collect_cluster(cluster, trigger="cli")
    first, second, *_ = cluster.nodes.order_by("name").values_list("name", flat=True)
    simulation.fleet[cluster.name].remove_node(first)
    simulation.fleet[cluster.name].recreate_node(second)
    collect_cluster(cluster, trigger="cli")
    assert Node.objects.get(cluster=cluster, name=first).removed_at is not None
    assert Node.objects.filter(cluster=cluster, name=second).count() == 2
    assert Node.objects.filter(cluster=cluster, name=second, removed_at=None).count() == 1


@pytest.mark.django_db
def test_a_cluster_that_cannot_be_reached_keeps_its_last_known_data(simulation: Simulation) -> None:
    cluster = register_clusters()[0]
    collect_cluster(cluster, trigger="cli")
    known = cluster.nodes.filter(removed_at=None).count()
    read_at = ages_of(cluster)["nodes"]
    simulation.faults(cluster.name).set(unreachable="refused")
    run = collect_cluster(cluster, trigger="cli", deadline_s=5)
    assert run is not None
    assert run.outcome == RunOutcome.FAILED
    assert "nodes" in {section["name"] for section in run.sections if section["reason"]}
    assert cluster.nodes.filter(removed_at=None).count() == known
    assert ages_of(cluster)["nodes"] == read_at
    assert cluster.failing_since is not None
    simulation.faults(cluster.name).clear()
    collect_cluster(cluster, trigger="cli")
    cluster.refresh_from_db()
    assert (cluster.failing_since, cluster.error) == (None, "")


@pytest.mark.django_db
def test_pods_that_may_not_be_read_fail_alone(simulation: Simulation) -> None:
    cluster = register_clusters()[0]
    simulation.faults(cluster.name).set(forbidden=[("*", "pods")])
    run = collect_cluster(cluster, trigger="cli")
    assert run is not None
    assert run.outcome == RunOutcome.PARTIAL
    assert "forbidden" in {section["outcome"] for section in run.sections}
    node = cluster.nodes.filter(slots_allocatable__gt=0).first()
    assert node is not None
    assert node.slots_requested is None
    cluster.refresh_from_db()
    missing = {(item["verb"], item["resource"]) for item in cluster.permissions["missing"]}
    assert ("list", "pods") in missing


@pytest.mark.django_db
def test_a_cluster_that_leaves_the_configuration_leaves_the_pages_and_keeps_its_rows(
    simulation: Simulation, tmp_path: Path
) -> None:
    cluster = register_clusters()[0]
    collect_cluster(cluster, trigger="cli")
    settings.MUSTER_CONTEXTS = tuple(name for name in simulation.servers if name != cluster.name)
    try:
        register_clusters()
        cluster.refresh_from_db()
        assert cluster.removed_at is not None
        assert cluster.nodes.exists()
    finally:
        settings.MUSTER_CONTEXTS = ()
    register_clusters()
    cluster.refresh_from_db()
    assert cluster.removed_at is None


@pytest.mark.django_db(transaction=True)
def test_of_two_workers_only_one_reads(simulation: Simulation) -> None:
    cluster = register_clusters()[0]
    simulation.faults(cluster.name).set(slow_seconds=0.2)
    results: list[CollectionRun | None] = []
    start = threading.Barrier(2)

    def worker() -> None:
        start.wait()
        results.append(collect_cluster(Cluster.objects.get(pk=cluster.pk), trigger="schedule"))
        connection.close()

    threads = [threading.Thread(target=worker) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(run is None for run in results) == [False, True]
    assert CollectionRun.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_clusters_that_do_not_answer_do_not_delay_the_others(simulation: Simulation) -> None:
    register_clusters()
    deaf = sorted(simulation.servers)[0]
    simulation.faults(deaf).set(unreachable="hang")
    began = time.monotonic()
    look = collect_all(trigger="first", timeout_s=3)
    assert time.monotonic() - began < 10
    assert list(look.troubles) == [deaf]
    outcomes = {run.cluster.name: run.outcome for run in look.runs}
    assert {name for name, outcome in outcomes.items() if outcome == RunOutcome.OK} == set(simulation.servers) - {deaf}


@pytest.mark.django_db(transaction=True)
def test_a_cluster_whose_recording_raises_stops_neither_the_others_nor_the_start(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that no object of the snapshot explains: Muster's own, such as a bug."""
    broken, whole = sorted(simulation.servers)[0], recording.record

    def record(cluster: Cluster, *rest: Any) -> Any:
        if cluster.name == broken:
            raise ZeroDivisionError("a bug\nin two lines")
        return whole(cluster, *rest)

    monkeypatch.setattr(recording, "record", record)
    sentences: list[str] = []
    Start(settings.MUSTER_HOME, 0, HomeLock(settings.MUSTER_HOME, "run"), sentences.append)._collect()
    recorded = {run.cluster.name: run.outcome for run in CollectionRun.objects.select_related("cluster")}
    assert recorded == {name: "failed" if name == broken else "ok" for name in simulation.servers}
    for cluster in Cluster.objects.all():
        assert cluster.nodes.exists() is (cluster.name != broken)
    assert sentences == [
        f"First run of {len(recorded)} clusters.",
        f"Not read: {broken}: Muster itself failed (ZeroDivisionError: a bug); its log has the details.",
    ]


# A worker that stops dead in the middle of its transaction: rows are written, nothing is committed.
_DOOMED = """
import sys, time, pathlib
import django
django.setup()
from fleet.models import Cluster
from fleet.services import collection, recording
def hang(*args):
    pathlib.Path(sys.argv[2]).write_text("in the middle")
    time.sleep(600)
recording.record_reading = hang
collection.collect_cluster(Cluster.objects.get(name=sys.argv[1]), trigger="schedule")
"""


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_in_the_middle_of_its_transaction_loses_nothing(simulation: Simulation, tmp_path: Path) -> None:
    cluster = register_clusters()[0]
    doomed = start_process(_DOOMED, cluster.name, str(tmp_path / "mark"))
    try:
        wait_for((tmp_path / "mark").exists)
        with collection_lock(cluster.pk) as got:
            assert not got, "the living worker holds the lock"
        assert Node.objects.count() == 0, "nothing of an open transaction is seen"
        doomed.send_signal(signal.SIGKILL)
        doomed.wait(10)
        wait_for(lambda: lock_is_free(cluster.pk))
        run = collect_cluster(cluster, trigger="schedule")
    finally:
        doomed.kill()
        doomed.wait(10)
    assert run is not None
    assert run.outcome == RunOutcome.OK
    lost = CollectionRun.objects.exclude(pk=run.pk).get()
    assert (lost.outcome, lost.finished_at is not None) == (RunOutcome.LOST, True)
    assert Node.objects.filter(cluster=cluster).count() == NodeRevision.objects.count() > 0
    assert Pod.objects.exists()


def start_process(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Python in a process of its own, on the test's database."""
    return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=ROOT, env=environment_beside())


def lock_is_free(cluster_id: int) -> bool:
    with collection_lock(cluster_id) as got:
        return got


def wait_for(condition: Any, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.django_db
def test_a_nul_in_any_text_costs_nothing(simulation: Simulation) -> None:
    """Anyone may end a container with one in its message; Postgres takes none."""
    (cluster, *_) = register_clusters()
    fleet = simulation.fleet[cluster.name]
    pod = next(pod for pod in fleet.pods.values() if pod.reason)
    message = pod.message
    pod.message = "boom\x00boom"
    fleet.show_pod(pod)
    try:
        run = collect_cluster(cluster, trigger="cli")
    finally:
        pod.message = message
        fleet.show_pod(pod)
    assert run is not None
    assert run.outcome == RunOutcome.OK
    assert any("boom\N{REPLACEMENT CHARACTER}boom" in str(item) for item in Pod.objects.values_list("snapshot", flat=True))


@pytest.mark.django_db
def test_a_run_that_fails_through_a_bug_is_shown_with_its_cluster(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cluster, *_) = register_clusters()
    collect_cluster(cluster, trigger="cli")

    def fail(*_: Any) -> None:
        raise LookupError

    with monkeypatch.context() as patch:
        patch.setattr(collection.recording, "record", fail)
        with pytest.raises(LookupError):
            collect_cluster(cluster, trigger="cli")
    cluster.refresh_from_db()
    assert cluster.outcome == RunOutcome.FAILED
    assert cluster.error.startswith("Muster itself failed (LookupError)")
    assert cluster.failing_since is not None
    collect_cluster(cluster, trigger="cli")
    cluster.refresh_from_db()
    assert (cluster.outcome, cluster.failing_since) == (RunOutcome.OK, None)


@pytest.mark.django_db
def test_the_reason_of_a_cluster_out_of_reach_is_what_stopped_the_first_question(simulation: Simulation) -> None:
    (cluster, *_) = register_clusters()
    simulation.faults(cluster.name).set(unreachable="refused")
    try:
        run = collect_cluster(cluster, trigger="cli")
    finally:
        simulation.faults(cluster.name).clear()
    assert run is not None
    assert "Connection refused" in run.error
    assert not run.error.startswith("Not requested")


@pytest.mark.django_db
@pytest.mark.parametrize("empty_answers", [1, 2])
def test_nodes_are_removed_only_after_a_second_list_that_lacks_them(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch, empty_answers: int
) -> None:
    cluster = next(register_cluster for register_cluster in register_clusters() if register_cluster.name == "prod-us-east")
    collect_cluster(cluster, trigger="cli")
    known = cluster.nodes.filter(removed_at=None).count()
    real, answers = snapshot_collection.collect, []

    def answer(*args: Any, **kwargs: Any) -> ClusterSnapshot:
        seen = real(*args, **kwargs)
        answers.append(seen)
        return structs.replace(seen, nodes=(), node_count=0) if len(answers) <= empty_answers else seen

    monkeypatch.setattr(snapshot_collection, "collect", answer)
    run = collect_cluster(cluster, trigger="cli")
    assert run is not None
    assert len(answers) == 2
    removed = empty_answers == 2
    assert cluster.nodes.filter(removed_at=None).count() == (0 if removed else known)
    assert (f"lacks {known} of {known}" in run.error) is removed
