"""Exporters and model servers of the simulated fleet, read over real HTTP by every way there is, in every way they fail."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from fleet.collectors import kube
from fleet.collectors.kube import Connection
from fleet.collectors.run import collect
from fleet.collectors.sections import TELEMETRY_SECTIONS
from fleet.collectors.telemetry import Plan
from fleet.domain.outcomes import Outcome
from fleet.domain.snapshot import ClusterSnapshot, PodSnapshot
from fleet.domain.telemetry import ExporterReport
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
    found = simulation.fleet[CLUSTER]
    yield found
    found.faults.clear()


@pytest.fixture
def connection(simulation: Simulation, tmp_path: Path) -> Connection:
    (found,) = kube.list_connections(str(simulation.kubeconfig(tmp_path / "kubeconfig")), [], False)
    return found


def look(connection: Connection, plan: Plan | None = None) -> ClusterSnapshot:
    return collect(connection, now=lambda: NOW, plan=plan)


def reports(snapshot: ClusterSnapshot) -> dict[str, ExporterReport]:
    return {report.node_name: report for report in snapshot.telemetry.exporters}


def test_every_device_of_every_node(connection: Connection, cluster: Cluster) -> None:
    snapshot = look(connection)
    assert {snapshot.section(name).outcome for name in TELEMETRY_SECTIONS} == {Outcome.COLLECTED}
    assert snapshot.telemetry.source == "pod-proxy"
    by_node = {name: [one for one in snapshot.telemetry.samples if one.node_name == name] for name in NODES.values()}
    assert {name: len({one.uuid for one in found}) for name, found in by_node.items()} == {
        name: len(cluster.nodes[name].gpus) for name in NODES.values()
    }
    assert sum(bool(one.gi_id) for one in by_node["cut"]) == 28
    assert {one.uuid for one in by_node["plain"]} == {gpu.uuid for gpu in cluster.nodes["plain"].gpus}
    assert all(
        one.values["gpu_util"] > 85
        for one in by_node["plain"]
        if any("ft" in p.pod or p.container == "trainer" for p in one.pods)
    )
    assert all(one.at == NOW for found in by_node.values() for one in found)


def test_the_report_says_what_is_exported(connection: Connection, cluster: Cluster) -> None:
    cluster.faults.set(exporter_health=["shared"])
    found = reports(look(connection))
    assert "ecc_dbe_volatile" in found["shared"].metrics
    assert "watches" in found["shared"].metrics
    assert "ecc_dbe_volatile" not in found["plain"].metrics
    assert "xid" in found["plain"].metrics


def test_a_slow_exporter_costs_only_itself(connection: Connection, cluster: Cluster) -> None:
    cluster.faults.set(exporter_slow=["plain"], exporter_slow_seconds=3)
    snapshot = look(connection, IMPATIENT)
    section, found = snapshot.section("telemetry"), reports(snapshot)
    assert section.outcome is Outcome.INCOMPLETE
    assert section.reason.startswith("1 of 3 exporters could not be read.")
    assert section.took_ms < 2500, "the time-out, not the exporter, decides"
    assert found["plain"].outcome is Outcome.TIMEOUT
    assert found["plain"].at is None
    assert {found["cut"].outcome, found["shared"].outcome} == {Outcome.COLLECTED}
    assert {one.node_name for one in snapshot.telemetry.samples} == {"cut", "shared"}


@pytest.mark.parametrize(
    ("fault", "outcome", "words"),
    [
        ("exporter_failing", Outcome.UNREACHABLE, "answers 500"),
        ("exporter_refused", Outcome.UNREACHABLE, "connection refused"),
        ("exporter_garbled", Outcome.MALFORMED, "no Prometheus text"),
    ],
)
def test_one_that_fails_says_why(connection: Connection, cluster: Cluster, fault: str, outcome: Outcome, words: str) -> None:
    cluster.faults.set(**{fault: ["cut"]})
    snapshot = look(connection)
    assert snapshot.section("telemetry").outcome is Outcome.INCOMPLETE
    assert reports(snapshot)["cut"].outcome is outcome
    assert words in reports(snapshot)["cut"].reason


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
    blank = [one for one in look(connection).telemetry.samples if one.node_name == "plain"]
    assert all("gpu_temp" not in one.values and "fb_used" not in one.values and "power" not in one.values for one in blank)
    assert all("sm_clock" in one.values for one in blank)


def test_a_lost_card_is_not_measured(connection: Connection, cluster: Cluster) -> None:
    lost = cluster.nodes["shared"].gpus[3]
    cluster.fail_gpu("shared", 3)
    try:
        sample = next(one for one in look(connection).telemetry.samples if one.uuid == lost.uuid)
        assert sample.values == {"xid": 79}
        assert not sample.is_measured
        cluster.faults.set(exporter_forgets=["shared"])
        assert lost.uuid not in {one.uuid for one in look(connection).telemetry.samples}
    finally:
        cluster.heal_gpu("shared", 3)


def test_no_exporter_is_absent_not_broken(simulation: Simulation, tmp_path: Path) -> None:
    fleet = build_fleet(clusters=1, nodes=0)
    fleet[CLUSTER].add_node("l4-starting", name="bare")
    with serve(fleet) as running:
        (connection,) = kube.list_connections(str(running.kubeconfig(tmp_path / "kubeconfig")), [], False)
        snapshot = look(connection)
    assert snapshot.section("telemetry").outcome is Outcome.ABSENT
    assert snapshot.section("model_servers").outcome is Outcome.ABSENT
    assert "nobody measures" in snapshot.section("telemetry").reason


def test_a_telemetry_pass_asks_the_pods_it_is_told(connection: Connection, cluster: Cluster) -> None:
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
    told = reports(snapshot)
    assert (told["away"].outcome, told["away"].reason) == (Outcome.UNREACHABLE, "The pod was-here is gone.")
    assert between(gone[-1:]).section("telemetry").outcome is Outcome.UNREACHABLE, "nobody is left who could say so"


def test_model_servers_in_their_own_words(connection: Connection, cluster: Cluster) -> None:
    servers = look(connection).telemetry.servers
    assert len(servers) == 3
    for one in servers:
        assert one.outcome is Outcome.COLLECTED
        assert one.ready
        assert one.requests is not None
        if one.kind != "triton":
            assert one.generation_tokens is not None


def test_a_model_server_that_fails(connection: Connection, cluster: Cluster) -> None:
    cluster.faults.set(server_failing=["plain"])
    snapshot = look(connection)
    assert snapshot.section("model_servers").outcome is Outcome.INCOMPLETE
    failed = [one for one in snapshot.telemetry.servers if one.node_name == "plain"]
    assert failed
    assert all(one.outcome is Outcome.UNREACHABLE and one.requests is None and one.ready for one in failed)


def test_straight_from_the_pods(connection: Connection, simulation: Simulation, cluster: Cluster) -> None:
    proxied = look(connection)
    with serve_pods(simulation.fleet[CLUSTER]):
        direct = look(connection, Plan(source="direct"))
        assert direct.section("telemetry").outcome is Outcome.COLLECTED, direct.section("telemetry").reason
        assert direct.telemetry.source == "direct"
        assert direct.telemetry.samples == proxied.telemetry.samples
        assert [one.requests for one in direct.telemetry.servers] == [one.requests for one in proxied.telemetry.servers]
        cluster.faults.set(exporter_refused=["plain"])
        assert reports(look(connection, Plan(source="direct", timeout_s=1)))["plain"].outcome is Outcome.UNREACHABLE
