"""Exporters and model servers of the simulated fleet, read over real HTTP by every way there is, in every way they fail."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from fleet.collectors.connections import Connection, list_connections
from fleet.collectors.run import collect
from fleet.collectors.sections import TELEMETRY_SECTIONS
from fleet.collectors.telemetry import Plan, Refused
from fleet.domain.snapshot import ClusterSnapshot, PodSnapshot
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import ExporterReport
from fleet.simulator.fleet import build_fleet
from fleet.simulator.pod_servers import serve_pods
from fleet.simulator.server import Simulation, serve
from fleet.simulator.stories import Cluster

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CLUSTER = "prod-us-east"
NODES = {"h100": "plain", "lab-mig-partly": "cut", "t4-sliced": "shared"}
IMPATIENT = Plan(timeout_s=0.4)


@pytest.fixture(scope="module")
def simulation() -> Iterator[Simulation]:
    fleet = build_fleet(clusters=1, nodes=0)
    cluster = fleet[CLUSTER]
    for kind, name in NODES.items():
        cluster.add_node(kind, name=name)
    cluster.add_pod("plain", slots=4, work="infer")
    cluster.add_pod("plain", slots=2, work="train")
    cluster.add_pod("shared", slots=1, work="infer")
    cluster.add_pod("shared", slots=1, work="infer")
    with serve(fleet) as running:
        yield running


@pytest.fixture
def cluster(simulation: Simulation) -> Iterator[Cluster]:
    fleet = simulation.fleet[CLUSTER]
    yield fleet
    fleet.faults.clear()


@pytest.fixture
def connection(simulation: Simulation, tmp_path: Path) -> Connection:
    (connections,) = list_connections(str(simulation.kubeconfig(tmp_path / "kubeconfig")), [], False)
    return connections


def look(connection: Connection, plan: Plan | None = None) -> ClusterSnapshot:
    return collect(connection, now=lambda: NOW, plan=plan)


def reports(snapshot: ClusterSnapshot) -> dict[str, ExporterReport]:
    return {report.node_name: report for report in snapshot.telemetry.exporters}


def test_every_device_of_every_node(connection: Connection, cluster: Cluster) -> None:
    snapshot = look(connection)
    assert {snapshot.section(name).outcome for name in TELEMETRY_SECTIONS} == {Outcome.COLLECTED}
    assert snapshot.telemetry.source == "pod-proxy"
    by_node = {name: [sample for sample in snapshot.telemetry.samples if sample.node_name == name] for name in NODES.values()}
    assert {name: len({item.uuid for item in rows}) for name, rows in by_node.items()} == {
        name: len(cluster.nodes[name].gpus) for name in NODES.values()
    }
    assert sum(bool(entry.gi_id) for entry in by_node["cut"]) == 28
    assert {row.uuid for row in by_node["plain"]} == {gpu.uuid for gpu in cluster.nodes["plain"].gpus}
    assert all(
        result.values["gpu_util"] > 85
        for result in by_node["plain"]
        if any("ft" in p.pod or p.container == "trainer" for p in result.pods)
    )
    assert all(values.at == NOW for value in by_node.values() for values in value)


def test_the_report_says_what_is_exported(connection: Connection, cluster: Cluster) -> None:
    cluster.faults.set(exporter_health=["shared"])
    result = reports(look(connection))
    assert "ecc_dbe_volatile" in result["shared"].metrics
    assert "watches" in result["shared"].metrics
    assert "ecc_dbe_volatile" not in result["plain"].metrics
    assert "xid" in result["plain"].metrics


def test_a_slow_exporter_costs_only_itself(connection: Connection, cluster: Cluster) -> None:
    cluster.faults.set(exporter_slow=["plain"], exporter_slow_seconds=3)
    snapshot = look(connection, IMPATIENT)
    section, result = snapshot.section("telemetry"), reports(snapshot)
    assert section.outcome is Outcome.INCOMPLETE
    assert section.reason.startswith("1 of 3 exporters could not be read.")
    assert section.took_ms < 2500, "the time-out, not the exporter, decides"
    assert result["plain"].outcome is Outcome.TIMEOUT
    assert result["plain"].at is None
    assert {result["cut"].outcome, result["shared"].outcome} == {Outcome.COLLECTED}
    assert {sample.node_name for sample in snapshot.telemetry.samples} == {"cut", "shared"}


@pytest.mark.parametrize(
    ("fault", "outcome", "words"),
    [
        ("exporter_failing", Outcome.UNREACHABLE, "answers 500"),
        ("exporter_refused", Outcome.UNREACHABLE, "connection refused"),
        ("exporter_rejecting", Outcome.REFUSED, "answers 400"),
        ("exporter_garbled", Outcome.MALFORMED, "is not Prometheus text"),
    ],
)
def test_one_that_fails_says_why(connection: Connection, cluster: Cluster, fault: str, outcome: Outcome, words: str) -> None:
    cluster.faults.set(**{fault: ["cut"]})
    snapshot = look(connection)
    assert snapshot.section("telemetry").outcome is Outcome.INCOMPLETE
    assert reports(snapshot)["cut"].outcome is outcome
    assert words in reports(snapshot)["cut"].reason


def test_one_that_refuses_is_asked_less_and_less_often(connection: Connection, cluster: Cluster) -> None:
    cluster.faults.set(exporter_rejecting=["cut"])
    plan, asked_at, times = Plan(), [], 0

    def pass_at(minute: int) -> ClusterSnapshot:
        return collect(connection, now=lambda: NOW + timedelta(minutes=minute), plan=plan, sections=("pods", "telemetry"))

    for minute in range(64):
        report = reports(pass_at(minute))["cut"]
        assert report.outcome is Outcome.REFUSED, "the refusal stays visible"
        assert report.reason == f"{report.pod} answers 400 instead of its metrics."
        if report.refusals > times:
            asked_at.append(minute)
        assert report.retry_at is not None
        times = report.refusals
        refused = Refused(times=times, until=report.retry_at, reason=report.reason)
        plan = Plan(refused={(report.namespace, report.pod): refused})
    assert asked_at == [0, 1, 3, 7, 15, 31, 61]
    cluster.faults.set(exporter_rejecting=[])
    assert reports(pass_at(90))["cut"].outcome is Outcome.REFUSED, "not asked yet"
    report = reports(pass_at(91))["cut"]
    assert (report.outcome, report.retry_at, report.refusals) == (Outcome.COLLECTED, None, 0)


def test_all_that_fail_are_one_sentence(connection: Connection, cluster: Cluster) -> None:
    cluster.faults.set(exporter_failing=["*"])
    section = look(connection).section("telemetry")
    assert section.outcome is Outcome.UNREACHABLE
    assert section.reason.startswith("None of 3 exporters could be read.")
    assert section.hides


def test_without_the_right_the_first_refusal_is_enough(connection: Connection, cluster: Cluster) -> None:
    cluster.faults.set(forbidden=[("get", "pods/proxy")])
    snapshot = look(connection, Plan(workers=1))
    assert snapshot.section("telemetry").outcome is Outcome.FORBIDDEN
    assert "may not get pods/proxy in namespace gpu-operator" in snapshot.section("telemetry").reason
    refused = [target for (target, code) in cluster.counted if "/proxy" in target and "dcgm-exporter" in target and code == 403]
    assert len(refused) == 1


def test_sentinels_are_no_values(connection: Connection, cluster: Cluster) -> None:
    cluster.faults.set(exporter_blank=["plain"])
    blank = [sample for sample in look(connection).telemetry.samples if sample.node_name == "plain"]
    assert all("gpu_temp" not in item.values and "fb_used" not in item.values and "power" not in item.values for item in blank)
    assert all("sm_clock" in entry.values for entry in blank)


def test_a_lost_card_is_not_measured(connection: Connection, cluster: Cluster) -> None:
    lost = cluster.nodes["shared"].gpus[3]
    cluster.fail_gpu("shared", 3)
    try:
        sample = next(item for item in look(connection).telemetry.samples if item.uuid == lost.uuid)
        assert sample.values == {"xid": 79}
        assert not sample.is_measured
        cluster.faults.set(exporter_forgets=["shared"])
        assert lost.uuid not in {entry.uuid for entry in look(connection).telemetry.samples}
    finally:
        cluster.heal_gpu("shared", 3)


def test_no_exporter_is_absent_not_broken(simulation: Simulation, tmp_path: Path) -> None:
    fleet = build_fleet(clusters=1, nodes=0)
    fleet[CLUSTER].add_node("l4-starting", name="bare")
    with serve(fleet) as running:
        (connection,) = list_connections(str(running.kubeconfig(tmp_path / "kubeconfig")), [], False)
        snapshot = look(connection)
    assert snapshot.section("telemetry").outcome is Outcome.ABSENT
    assert snapshot.section("model_servers").outcome is Outcome.ABSENT
    assert "are not measured" in snapshot.section("telemetry").reason


def test_a_scrape_reads_the_given_pods(connection: Connection, cluster: Cluster) -> None:
    whole = look(connection)
    cluster.counted.clear()
    between = collect(connection, now=lambda: NOW, sections=TELEMETRY_SECTIONS, known_pods=whole.pods)
    assert set(between.sections) == set(TELEMETRY_SECTIONS)
    assert between.telemetry.samples == whole.telemetry.samples
    assert between.nodes == ()
    assert {"/proxy/" in target for target, _ in cluster.counted} == {True}, "nothing but pods was asked"


def test_a_pod_that_went_away_between_two_passes_breaks_nothing_but_itself(connection: Connection, cluster: Cluster) -> None:
    known = [pod for pod in look(connection).pods if pod.component == "dcgm-exporter"]
    gone = [*known, msgspec.structs.replace(known[0], name="was-here", uid="was-here", node_name="away")]

    def between(pods: list[PodSnapshot]) -> ClusterSnapshot:
        return collect(connection, now=lambda: NOW, sections=TELEMETRY_SECTIONS, known_pods=tuple(pods))

    snapshot = between(gone)
    assert snapshot.section("telemetry").outcome is Outcome.COLLECTED
    result = reports(snapshot)
    assert (result["away"].outcome, result["away"].reason) == (Outcome.UNREACHABLE, "The pod was-here no longer exists.")
    assert between(gone[-1:]).section("telemetry").outcome is Outcome.UNREACHABLE, "no exporter is left that could report it"


def test_model_servers_in_their_own_words(connection: Connection, cluster: Cluster) -> None:
    servers = look(connection).telemetry.servers
    assert len(servers) == 3
    for server in servers:
        assert server.outcome is Outcome.COLLECTED
        assert server.ready
        assert server.requests is not None
        if server.kind != "triton":
            assert server.generation_tokens is not None


def test_a_model_server_that_fails(connection: Connection, cluster: Cluster) -> None:
    cluster.faults.set(server_failing=["plain"])
    snapshot = look(connection)
    assert snapshot.section("model_servers").outcome is Outcome.INCOMPLETE
    failed = [server for server in snapshot.telemetry.servers if server.node_name == "plain"]
    assert failed
    assert all(item.outcome is Outcome.UNREACHABLE and item.requests is None and item.ready for item in failed)


def test_straight_from_the_pods(connection: Connection, simulation: Simulation, cluster: Cluster) -> None:
    proxied = look(connection)
    with serve_pods(simulation.fleet[CLUSTER]):
        direct = look(connection, Plan(source="direct"))
        assert direct.section("telemetry").outcome is Outcome.COLLECTED, direct.section("telemetry").reason
        assert direct.telemetry.source == "direct"
        assert direct.telemetry.samples == proxied.telemetry.samples
        assert [server.requests for server in direct.telemetry.servers] == [item.requests for item in proxied.telemetry.servers]
        cluster.faults.set(exporter_refused=["plain"])
        assert reports(look(connection, Plan(source="direct", timeout_s=1)))["plain"].outcome is Outcome.UNREACHABLE
