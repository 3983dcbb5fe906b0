"""From the exporters of a simulated fleet, over real HTTP, into rows; and what is kept when they do not answer."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from msgspec import structs

from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.snapshot.sections import Outcome, SectionReport
from fleet.domain.snapshot.telemetry import DeviceSample, ExporterReport, ModelServer, Telemetry
from fleet.models import Cluster, CollectionRun, DeviceTelemetry, Exporter, Gpu, ModelServerRow, Node, RunOutcome, TelemetryFrame
from fleet.services import clusters, collection, collection_runs, last_known, schedule, telemetry_plan
from fleet.services.clusters import register_clusters
from fleet.services.recording import frames
from fleet.simulator.fleet import build_fleet
from fleet.simulator.server import Simulation, serve
from tests import absorbing
from tests.services.snapshots import T0, a_node, a_pod, a_snapshot

CARDS = tuple(f"GPU-{number}" for number in range(8))


def a_sample(uuid: str, node: str = "n1", *, at_s: float = 0, **values: float) -> DeviceSample:
    return DeviceSample(
        node_name=node,
        uuid=uuid,
        at=T0 + timedelta(seconds=at_s),
        pci_bus_id=f"0000:{uuid[-1]}0:00.0",
        model="NVIDIA H100 80GB HBM3",
        values=values or {"gpu_temp": 40.0, "gpu_util": 50.0},
    )


def a_report(node: str = "n1", outcome: Outcome = Outcome.COLLECTED, at_s: float | None = 0, **fields: object) -> ExporterReport:
    at = None if at_s is None else T0 + timedelta(seconds=at_s)
    whole = ExporterReport(
        node_name=node,
        namespace="gpu-operator",
        pod=f"exporter-{node}",
        source="pod-proxy",
        outcome=outcome,
        at=at,
        metrics=("gpu_temp",),
    )
    return structs.replace(whole, **fields)


def look(
    *samples: DeviceSample,
    after_s: float = 0,
    reports: tuple[ExporterReport, ...] | None = None,
    outcome: Outcome = Outcome.COLLECTED,
    servers: tuple[ModelServer, ...] = (),
    whole: bool = True,
) -> ClusterSnapshot:
    """One look at a cluster of one node; `whole=False` for a telemetry pass."""
    result = (a_report(at_s=after_s),) if reports is None else reports
    snapshot = a_snapshot(
        a_node("n1"),
        pods=(a_pod("server", "n1"),),
        after_s=after_s,
        telemetry=Telemetry(source="pod-proxy", samples=samples, exporters=result, servers=servers),
    )
    sections = {
        "telemetry": SectionReport(
            name="telemetry", outcome=outcome, count=len(result), reason="" if outcome is Outcome.COLLECTED else "Why."
        ),
        "model_servers": SectionReport(name="model_servers", outcome=Outcome.COLLECTED, count=len(servers)),
    }
    if whole:
        return structs.replace(snapshot, sections=snapshot.sections | sections)
    return structs.replace(snapshot, sections=sections, nodes=(), pods=(), node_count=None)


def absorb(cluster: Cluster, seen: ClusterSnapshot) -> CollectionRun:
    run = CollectionRun.objects.create(cluster=cluster, trigger="cli", started_at=seen.taken_at)
    cluster.refresh_from_db()
    absorbing.absorb(cluster, seen, run)
    cluster.refresh_from_db()
    return run


@pytest.fixture
def cluster(db: None) -> Cluster:
    return Cluster.objects.create(name="east")


def rows() -> dict[str, DeviceTelemetry]:
    return {row.uuid: row for row in DeviceTelemetry.objects.all()}


def test_the_newest_sample_of_each_card(cluster: Cluster) -> None:
    absorb(cluster, look(*(a_sample(uuid) for uuid in CARDS)))
    absorb(cluster, look(*(a_sample(uuid, at_s=60, gpu_temp=77.0) for uuid in CARDS), after_s=60))
    assert sorted(rows()) == sorted(CARDS)
    assert {row.sample["values"]["gpu_temp"] for row in rows().values()} == {77.0}
    assert {row.at for row in rows().values()} == {T0 + timedelta(seconds=60)}
    assert Exporter.objects.get().report["outcome"] == "collected"


def test_cards_get_their_names_from_telemetry(cluster: Cluster) -> None:
    absorb(cluster, look(*(a_sample(uuid) for uuid in CARDS)))
    node = Node.objects.get()
    assert (node.physical, node.physical_source) == (8, "dcgm")
    assert node.known_uuids == list(CARDS)
    card = Gpu.objects.order_by("position").first()
    assert card is not None
    assert (card.uuid, card.product, card.pci_bus_id, card.source) == ("GPU-0", "NVIDIA-H100-80GB-HBM3", "0000:00:00.0", "dcgm")


def test_a_lost_card_stays_counted_and_keeps_its_last_sample(cluster: Cluster) -> None:
    absorb(cluster, look(*(a_sample(uuid) for uuid in CARDS)))
    absorb(cluster, look(*(a_sample(uuid, at_s=60) for uuid in CARDS[:7]), after_s=60))
    node = Node.objects.get()
    assert (node.physical, node.known_uuids) == (8, list(CARDS))
    assert rows()["GPU-7"].at == T0
    assert Gpu.objects.filter(uuid="GPU-7").exists()


def test_a_replaced_card_is_forgotten(cluster: Cluster) -> None:
    absorb(cluster, look(*(a_sample(uuid) for uuid in CARDS)))
    absorb(cluster, look(*(a_sample(uuid, at_s=60) for uuid in (*CARDS[:7], "GPU-9")), after_s=60))
    assert Node.objects.get().known_uuids == [*CARDS[:7], "GPU-9"]
    assert "GPU-7" not in rows()


def test_a_failed_exporter_keeps_its_last_known_sample_with_its_age(cluster: Cluster) -> None:
    absorb(cluster, look(*(a_sample(uuid) for uuid in CARDS)))
    failed = a_report(outcome=Outcome.TIMEOUT, at_s=None, reason="Too slow.", metrics=())
    seen = look(after_s=60, reports=(failed,), outcome=Outcome.TIMEOUT)
    filled = last_known.fill(Cluster.objects.get(), seen)
    assert filled.knows("telemetry")
    assert {sample.at for sample in filled.telemetry.samples} == {T0}
    (report,) = filled.telemetry.exporters
    assert (report.outcome, report.reason, report.at, report.metrics) == (Outcome.TIMEOUT, "Too slow.", T0, ("gpu_temp",))
    absorb(cluster, seen)
    assert {row.at for row in rows().values()} == {T0}
    assert Exporter.objects.get().at == T0


def test_what_was_never_read_stays_unknown(cluster: Cluster) -> None:
    forbidden = a_report(outcome=Outcome.FORBIDDEN, at_s=None, metrics=())
    for after_s in (0, 60):
        seen = look(after_s=after_s, reports=(forbidden,), outcome=Outcome.FORBIDDEN)
        assert not last_known.fill(Cluster.objects.get(), seen).knows("telemetry")
        absorb(cluster, seen)


def test_one_broken_exporter_does_not_hide_the_others(cluster: Cluster) -> None:
    broken = a_report("n2", Outcome.UNREACHABLE, None, metrics=())
    seen = look(*(a_sample(uuid) for uuid in CARDS), reports=(a_report(), broken), outcome=Outcome.INCOMPLETE)
    assert last_known.fill(Cluster.objects.get(), seen).knows("telemetry")


def test_instances_that_are_gone_lose_their_rows(cluster: Cluster) -> None:
    instances = [structs.replace(a_sample("GPU-0"), gi_id=str(number), profile="1g.10gb") for number in range(1, 8)]
    absorb(cluster, look(*instances))
    assert DeviceTelemetry.objects.count() == 7
    absorb(cluster, look(a_sample("GPU-0", at_s=60), after_s=60))
    assert [(row.uuid, row.gi_id) for row in DeviceTelemetry.objects.all()] == [("GPU-0", "")]


def test_a_telemetry_pass_speaks_for_its_own_sections_only(cluster: Cluster) -> None:
    absorb(cluster, look(*(a_sample(uuid) for uuid in CARDS)))
    before = Cluster.objects.get()
    node = Node.objects.get()
    run = absorb(cluster, look(*(a_sample(uuid, at_s=30, gpu_temp=50.0) for uuid in CARDS), after_s=30, whole=False))
    after = Cluster.objects.get()
    assert (run.outcome, run.changes) == (RunOutcome.OK, 0)
    assert (after.outcome, after.error, after.failing_since, after.read_at) == (before.outcome, "", None, before.read_at)
    assert [section["name"] for section in after.sections] == [item["name"] for item in before.sections]
    assert after.section_read_at["nodes"] == before.section_read_at["nodes"]
    assert after.section_read_at["telemetry"] > before.section_read_at["telemetry"]
    assert {row.sample["values"]["gpu_temp"] for row in rows().values()} == {50.0}
    assert Node.objects.get().fingerprint == node.fingerprint
    assert Node.objects.get().removed_at is None


def test_a_telemetry_pass_does_not_heal_a_failing_cluster(cluster: Cluster) -> None:
    absorb(cluster, look(*(a_sample(uuid) for uuid in CARDS)))
    broken = a_snapshot(after_s=60, broken=dict.fromkeys(("version", "nodes", "pods"), Outcome.UNREACHABLE))
    absorb(cluster, broken)
    failing = Cluster.objects.get()
    assert failing.outcome == RunOutcome.FAILED
    absorb(cluster, look(*(a_sample(uuid, at_s=90) for uuid in CARDS), after_s=90, whole=False))
    after = Cluster.objects.get()
    assert (after.outcome, after.error, after.failing_since, after.read_at) == (
        failing.outcome, failing.error, failing.failing_since, failing.read_at,
    )  # fmt: skip
    assert {row.at for row in rows().values()} == {T0 + timedelta(seconds=90)}


def a_server(at_s: float = 0, **fields: object) -> ModelServer:
    whole = ModelServer(
        node_name="n1", namespace="inference", pod="server", kind="vllm", ready=True, outcome=Outcome.COLLECTED,
        at=T0 + timedelta(seconds=at_s), requests=100.0, generation_tokens=5_000.0, ttft_sum=10.0, ttft_count=100.0,
    )  # fmt: skip
    return structs.replace(whole, **fields)


def test_rates_of_a_model_server(cluster: Cluster) -> None:
    absorb(cluster, look(servers=(a_server(),)))
    first = ModelServerRow.objects.get()
    assert (first.server["tokens_per_s"], first.served_at, first.ready_at) == (None, None, T0)
    absorb(
        cluster,
        look(servers=(a_server(30, requests=130.0, generation_tokens=8_000.0, ttft_sum=25.0, ttft_count=130.0),), after_s=30),
    )
    row = ModelServerRow.objects.get()
    assert row.server["tokens_per_s"] == 100.0
    assert row.server["requests_per_s"] == 1.0
    assert row.server["ttft_s"] == 0.5
    assert row.served_at == T0 + timedelta(seconds=30)
    silent = ModelServer(
        node_name="n1", namespace="inference", pod="server", kind="vllm", ready=False, outcome=Outcome.TIMEOUT, reason="Slow."
    )
    absorb(cluster, look(servers=(silent,), after_s=60))
    row = ModelServerRow.objects.get()
    assert (row.server["outcome"], row.server["requests"], row.at) == ("timeout", 130.0, T0 + timedelta(seconds=30))
    assert row.ready_at == T0 + timedelta(seconds=30)
    absorb(cluster, look(after_s=90))
    assert not ModelServerRow.objects.exists()


def test_one_frame_an_interval_in_a_partition_of_its_hour(cluster: Cluster) -> None:
    for after_s in (0, 30, 60, 90, 3600):
        absorb(cluster, look(*(a_sample(uuid, at_s=after_s) for uuid in CARDS), after_s=after_s))
    assert [frame.at for frame in TelemetryFrame.objects.order_by("at")] == [T0 + timedelta(seconds=s) for s in (0, 60, 3600)]
    frame = TelemetryFrame.objects.order_by("at").first()
    assert frame is not None
    assert frame.values["GPU-0"] == {"gpu_temp": 40.0, "gpu_util": 50.0}
    with connection.cursor() as cursor:
        names = [f"fleet_telemetryframe_20261123{hour}" for hour in (12, 13)]
        cursor.execute("SELECT count(*) FROM pg_class WHERE relname = ANY(%s)", [names])
        assert cursor.fetchone() == (2,)


def test_old_frames_go_with_their_partition(cluster: Cluster) -> None:
    absorb(cluster, look(a_sample("GPU-0")))
    absorb(cluster, look(a_sample("GPU-0", at_s=7200), after_s=7200))
    assert frames.drop_old(T0 + settings.TELEMETRY_RETENTION) == 0
    assert frames.drop_old(T0 + settings.TELEMETRY_RETENTION + timedelta(minutes=61)) == 1
    assert [frame.at for frame in TelemetryFrame.objects.all()] == [T0 + timedelta(seconds=7200)]


@pytest.mark.django_db
def test_the_rhythm() -> None:
    cluster = Cluster.objects.create(name="east", section_read_at={"pods": "2026-11-23T12:00:00Z"})
    Cluster.objects.create(name="new")
    step = settings.TELEMETRY_INTERVAL
    schedule.take_due(T0)
    assert schedule.take_due_telemetry(T0 + step) == [], "a full run still waits in the queue"
    schedule.start_turn(cluster.pk, T0)
    assert schedule.take_due_telemetry(T0 + step / 2) == [], "the full run read it"
    assert schedule.take_due_telemetry(T0 + step) == [cluster.pk], "the other one's pods are not known yet"
    assert schedule.take_due_telemetry(T0 + step) == []


@pytest.mark.django_db
def test_a_fleet_over_http(simulation: Simulation) -> None:
    cluster = next(register_cluster for register_cluster in register_clusters() if register_cluster.name == "prod-us-east")
    assert collection.collect_cluster(cluster, trigger="cli") is not None
    devices, servers = DeviceTelemetry.objects.count(), ModelServerRow.objects.count()
    assert devices > 20
    assert servers > 0
    run = collection.collect_cluster(cluster, trigger=collection_runs.TELEMETRY)
    assert run is not None
    assert (run.outcome, run.changes) == (RunOutcome.OK, 0)
    assert [section["name"] for section in run.sections] == ["telemetry", "model_servers"]
    assert (DeviceTelemetry.objects.count(), ModelServerRow.objects.count()) == (devices, servers)
    assert ModelServerRow.objects.filter(server__tokens_per_s__isnull=False).exists()
    simulation.faults(cluster.name).set(forbidden=[("get", "pods/proxy")])
    run = collection.collect_cluster(cluster, trigger=collection_runs.TELEMETRY)
    assert run is not None
    assert run.outcome == RunOutcome.FAILED
    assert DeviceTelemetry.objects.count() == devices


@pytest.mark.django_db
def test_a_cluster_may_be_read_another_way(settings: Any) -> None:
    settings.TELEMETRY_SOURCE, settings.PROMETHEUS_URL, settings.PROMETHEUS_TOKEN = "pod-proxy", "http://all", "secret"
    Cluster.objects.create(name="east")
    assert not clusters.set_telemetry("west", "direct", "")
    plan = telemetry_plan.plan_of(Cluster.objects.get())
    assert (plan.source, plan.prometheus_url, plan.prometheus_token) == ("pod-proxy", "http://all", "secret")
    assert clusters.set_telemetry("east", "prometheus", "http://its-own", 'cluster="east"')
    plan = telemetry_plan.plan_of(Cluster.objects.get())
    assert (plan.source, plan.prometheus_url, plan.prometheus_match) == ("prometheus", "http://its-own", 'cluster="east"')
    assert clusters.set_telemetry("east", "", "")
    assert telemetry_plan.plan_of(Cluster.objects.get()).source == "pod-proxy"


@pytest.mark.django_db(transaction=True)
def test_many_workers_that_begin_an_hour_at_once() -> None:
    """Each is in a transaction of its own, and all find the partition missing."""
    at = {"first_seen_at": T0, "changed_at": T0, "state_since": T0}
    clusters = [Cluster.objects.create(name=f"c{number}") for number in range(4)]
    nodes = [Node.objects.create(cluster=cluster, name="n", uid=cluster.name, **at) for cluster in clusters]
    start, problems = threading.Barrier(4), []

    def work(node: Node, hour: int) -> None:
        try:
            with transaction.atomic():
                Node.objects.filter(pk=node.pk).exists()
                start.wait()
                frames.write({node.pk: [a_sample("GPU-0")]}, T0 + timedelta(hours=hour))
        except DatabaseError as error:
            problems.append(error)

    try:
        for hour in range(5):
            threads = [threading.Thread(target=_closing(work), args=(node, hour)) for node in nodes]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert problems == []
        assert (
            TelemetryFrame.objects.filter(node_id__in=[node.pk for node in nodes], at__lt=T0 + timedelta(hours=5)).count() == 20
        )
    finally:
        frames.drop_old(T0 + timedelta(days=3650))  # nothing else removes tables that this test creates


def _closing(work: Any) -> Any:
    def run(*arguments: Any) -> None:
        try:
            work(*arguments)
        finally:
            connection.close()

    return run


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"forbidden": [("list", "resourceslices")]},
        {"absent_groups": ["resource.k8s.io"]},
        {"forbidden": [("list", "pods"), ("list", "daemonsets")]},
        {"exporter_failing": ["*"]},
        {"unreachable": "refused"},
    ],
    ids=["nothing", "slices", "no-dra", "pods", "exporters", "cluster"],
)
def test_between_two_full_runs_every_kind_of_node_keeps_its_evaluation(
    tmp_path: Path, settings: Any, fault: dict[str, Any]
) -> None:
    """Else every node whose judgement rests on what a telemetry pass does not read would be written twice a minute."""
    with serve(build_fleet(clusters=1, pods_per_node=8)) as running:
        settings.MUSTER_KUBECONFIG, settings.IS_SIMULATED = str(running.kubeconfig(tmp_path / "kubeconfig")), False
        (cluster,) = register_clusters()
        collection.collect_cluster(cluster, trigger="cli")
        running.faults(cluster.name).set(**fault)
        collection.collect_cluster(cluster, trigger="cli", deadline_s=10)
        fields = dict(Node.objects.values_list("name", "fingerprint"))
        cluster.refresh_from_db()
        read_at = cluster.read_at
        for _ in range(2):
            run = collection.collect_cluster(cluster, trigger=collection_runs.TELEMETRY)
            assert run is not None
            assert run.changes == 0
        assert dict(Node.objects.values_list("name", "fingerprint")) == fields
        cluster.refresh_from_db()
        assert cluster.read_at == read_at, "a telemetry pass reads no node"
