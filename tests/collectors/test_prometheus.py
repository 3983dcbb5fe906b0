"""A Prometheus server as the source: a real one for what it says, a scripted one for how it fails."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet.collectors import prometheus
from fleet.collectors.connections import Connection, list_connections
from fleet.collectors.deadline import Deadline
from fleet.collectors.errors import Failure
from fleet.collectors.exporters import ProxyWay
from fleet.collectors.prometheus import Places, Server
from fleet.collectors.run import collect
from fleet.collectors.telemetry import Plan
from fleet.domain.snapshot import ClusterSnapshot, PodSnapshot
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import PodRef
from fleet.simulator.fleet import build_fleet
from fleet.simulator.server import Simulation, serve
from tests.collectors.fake_api import FakeApi, Reply, Seen, serving
from tests.collectors.pages import gpu_labels
from tests.collectors.real_prometheus import scraping

CLUSTER = "prod-us-east"
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def simulation() -> Iterator[Simulation]:
    fleet = build_fleet(clusters=1, nodes=0)
    cluster = fleet[CLUSTER]
    cluster.add_node("h100", name="plain")
    cluster.add_node("lab-mig-partly", name="cut")
    cluster.add_pod("plain", slots=6, work="train")
    cluster.faults.set(exporter_health=["cut"])
    with serve(fleet) as running:
        yield running


@pytest.fixture(scope="module")
def serving_fleet() -> Iterator[Simulation]:
    """One node with four model servers."""
    fleet = build_fleet(clusters=1, nodes=0)
    cluster = fleet[CLUSTER]
    cluster.add_node("h100", name="plain")
    for slots in (4, 2, 1, 1):
        cluster.add_pod("plain", slots=slots, work="infer")
    with serve(fleet) as running:
        yield running


def look(simulation: Simulation, folder: Path, plan: Plan) -> ClusterSnapshot:
    connection: Connection
    (connection,) = list_connections(str(simulation.kubeconfig(folder / "kubeconfig")), [], False)
    return collect(connection, now=lambda: datetime.now(UTC), plan=plan)


@pytest.mark.parametrize("honor_labels", [False, True])
def test_a_real_server_returns_what_the_exporters_export(simulation: Simulation, tmp_path: Path, honor_labels: bool) -> None:
    direct = look(simulation, tmp_path, Plan())
    with scraping(simulation, CLUSTER, tmp_path, honor_labels=honor_labels, devices=8 + 4 + 28) as url:
        snapshot = look(simulation, tmp_path, Plan(source="prometheus", prometheus_url=url))
    assert snapshot.section("telemetry").outcome is Outcome.COLLECTED, snapshot.section("telemetry").reason
    assert snapshot.telemetry.source == "prometheus"
    fields = {(sample.node_name, sample.key): sample for sample in snapshot.telemetry.samples}
    wanted = {(item.node_name, item.key): item for item in direct.telemetry.samples}
    assert set(fields) == set(wanted)
    for key, value in wanted.items():
        other = fields[key]
        assert set(other.values) == set(value.values)
        assert {name: other.values[name] for name in ("sm_clock", "xid", "fb_reserved") if name in other.values} == {
            name: value.values[name] for name in ("sm_clock", "xid", "fb_reserved") if name in value.values
        }
        assert (other.pods, other.pci_bus_id, other.model, other.profile) == (
            value.pods,
            value.pci_bus_id,
            value.model,
            value.profile,
        )
        assert timedelta(0) <= datetime.now(UTC) - other.at < timedelta(minutes=2), "its own time, not the query's"
    metrics = {report.node_name: set(report.metrics) for report in snapshot.telemetry.exporters}
    assert metrics == {report.node_name: set(report.metrics) for report in direct.telemetry.exporters}


def test_model_servers_are_read_from_it_as_from_themselves(
    serving_fleet: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct = look(serving_fleet, tmp_path, Plan())
    with scraping(serving_fleet, CLUSTER, tmp_path, devices=8, servers=4) as url:
        # it scrapes through the API server itself, so that way must stay open, and only Muster must not take it
        monkeypatch.setattr(ProxyWay, "ask", lambda *_: pytest.fail("a pod was asked"))
        snapshot = look(serving_fleet, tmp_path, Plan(source="prometheus", prometheus_url=url))
    assert snapshot.section("model_servers").outcome is Outcome.COLLECTED, snapshot.section("model_servers").reason
    wanted = {(server.kind, server.namespace, server.pod): server for server in direct.telemetry.servers}
    fields = {(item.kind, item.namespace, item.pod): item for item in snapshot.telemetry.servers}
    assert len({kind for kind, _, _ in wanted}) > 1
    assert set(fields) == set(wanted)
    for key, value in wanted.items():
        other = fields[key]
        assert (other.models, other.ready, other.outcome) == (value.models, value.ready, Outcome.COLLECTED)
        for field in ("running", "waiting", "kv_cache", "generation_tokens", "requests", "ttft_count"):
            assert (getattr(other, field) is None) == (getattr(value, field) is None), (key, field)
        assert other.at is not None
        assert timedelta(0) <= datetime.now(UTC) - other.at < timedelta(minutes=2)


def test_where_it_holds_several_clusters_only_this_ones_series_are_asked_for(
    serving_fleet: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scraping(serving_fleet, CLUSTER, tmp_path, devices=8, servers=4) as url:
        monkeypatch.setattr(ProxyWay, "ask", _refuse)
        for match, cards, servers in (
            (f'cluster="{CLUSTER}"', 8, 4),
            ('cluster=~"prod.*", job!=""', 8, 4),
            ('cluster="west"', 0, 0),
        ):
            snapshot = look(serving_fleet, tmp_path, Plan(source="prometheus", prometheus_url=url, prometheus_match=match))
            assert len(snapshot.telemetry.samples) == cards, match
            assert sum(server.outcome is Outcome.COLLECTED for server in snapshot.telemetry.servers) == servers, match


def _refuse(*_: Any) -> None:
    raise Failure(Outcome.FORBIDDEN, "Muster's account may not get pods/proxy.")


def test_a_model_server_that_is_not_scraped_is_asked_itself_where_that_is_allowed(
    serving_fleet: Simulation, tmp_path: Path
) -> None:
    nothing = {
        "/api/v1/label/__name__/values": Reply({"status": "success", "data": []}),
        "/api/v1/query": answer([]),
    }
    with serving(nothing) as api:
        plan = Plan(source="prometheus", prometheus_url=api.url)
        assert look(serving_fleet, tmp_path, plan).section("model_servers").outcome is Outcome.COLLECTED
        serving_fleet.faults(CLUSTER).set(forbidden=[("get", "pods/proxy")])
        try:
            snapshot = look(serving_fleet, tmp_path, plan)
        finally:
            serving_fleet.faults(CLUSTER).clear()
    assert snapshot.section("model_servers").outcome is Outcome.UNREACHABLE
    assert {server.reason for server in snapshot.telemetry.servers} == {
        "Prometheus has no fresh sample of it: it is not scraped, or its scrapes fail."
    }


def test_a_target_that_is_not_scraped_is_reported(simulation: Simulation, tmp_path: Path) -> None:
    simulation.faults(CLUSTER).set(exporter_failing=["plain"], exporter_health=["cut"])
    try:
        with scraping(simulation, CLUSTER, tmp_path, devices=4 + 28) as url:
            snapshot = look(simulation, tmp_path, Plan(source="prometheus", prometheus_url=url))
    finally:
        simulation.faults(CLUSTER).set(exporter_failing=[])
    assert snapshot.section("telemetry").outcome is Outcome.INCOMPLETE
    failed = [report for report in snapshot.telemetry.exporters if report.outcome is not Outcome.COLLECTED]
    assert [report.node_name for report in failed] == ["plain"]
    assert "no fresh sample" in failed[0].reason


def test_a_long_curve(simulation: Simulation, tmp_path: Path) -> None:
    with scraping(simulation, CLUSTER, tmp_path, devices=8 + 4 + 28) as url:
        end = datetime.now(UTC)
        server = Server(url, "", Deadline(10))
        query_range = server.query_range('max by (UUID) (DCGM_FI_DEV_GPU_TEMP{GPU_I_ID=""})', end - timedelta(seconds=30), end, 1)
    assert len(query_range) == 8 + 4
    assert all(item.values for item in query_range)


# --- one query for each metric ---


def answer(result: list[dict[str, Any]]) -> Reply:
    return Reply({"status": "success", "data": {"resultType": "vector", "result": result}})


def series(name: str, value: float, **labels: str) -> dict[str, Any]:
    return {"metric": {"__name__": name, **labels}, "value": [AT.timestamp(), str(value)]}


def test_as_many_queries_as_metrics_however_many_nodes() -> None:
    names = ["DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_FB_USED", "DCGM_EXP_GPU_HEALTH_STATUS"]

    def query(seen: Seen) -> Reply:
        asked = seen.body.decode()
        name = next((item for item in names if item in asked), "")
        if "timestamp" in asked:
            return answer([series("", AT.timestamp() - 7, **gpu_labels(0, node=f"n{number}")) for number in range(50)])
        return answer([series(name, 40, **gpu_labels(0, node=f"n{number}"), health_watch="MEM") for number in range(50)])

    routes = {"/api/v1/label/__name__/values": Reply({"status": "success", "data": names}), "/api/v1/query": query}
    with serving(routes) as api:
        nodes = frozenset(f"n{number}" for number in range(50))
        read = prometheus.fetch(Server(api.url, "secret", Deadline(10)), Places(nodes=nodes), AT)
    assert len(read.samples) == 50
    assert {sample.at for sample in read.samples} == {AT - timedelta(seconds=7)}
    assert read.samples[0].watches == {"MEM": 40}
    assert len(api.seen) == 1 + 1 + 3
    assert {seen.headers["Authorization"] for seen in api.seen} == {"Bearer secret"}


def test_series_of_other_clusters_are_left_out() -> None:
    parse = prometheus.parse([[_series("DCGM_FI_DEV_GPU_TEMP", 40, node="elsewhere")]], [], Places(nodes=frozenset({"n1"})), AT)
    assert parse.samples == ()


def _series(name: str, value: float, **labels: str) -> prometheus.Series:
    return prometheus.Series(metric={"__name__": name, **gpu_labels(0), **labels}, value=(AT.timestamp(), str(value)))


@pytest.mark.parametrize(
    ("labels", "node"),
    [
        ({"namespace": "gpu", "pod": "exporter-1"}, "n1"),
        ({"instance": "10.0.0.7:9400"}, "n1"),
        ({"instance": "[fd00::7]:9400"}, "n6"),
        ({"node": "n2"}, "n2"),
        ({"Hostname": "n2"}, "n2"),
        ({"Hostname": "exporter-1"}, "n1"),
        ({"exported_hostname": "n2"}, "n2"),
        ({"instance": "n2:9400"}, "n2"),
        ({"Hostname": "nowhere"}, ""),
        ({"namespace": "gpu", "pod": "exporter-1", "Hostname": "n2"}, "n1"),
    ],
)
def test_where_a_series_belongs(labels: dict[str, str], node: str) -> None:
    exporters = [
        PodSnapshot(uid="1", namespace="gpu", name="exporter-1", node_name="n1", ip="10.0.0.7"),
        PodSnapshot(uid="6", namespace="gpu", name="exporter-6", node_name="n6", ip="fd00::7"),
    ]
    assert Places.of(exporters, frozenset({"n1", "n2", "n6"})).find(labels) == node


def test_with_renamed_labels_the_targets_own_pod_holds_nothing() -> None:
    target = {"namespace": "gpu", "pod": "some-exporter", "node": "n1"}
    held = _series("DCGM_FI_DEV_GPU_TEMP", 40, **target, exported_pod="job", exported_namespace="ml", exported_container="c")
    free = _series("DCGM_FI_DEV_GPU_TEMP", 40, **target)
    free.metric["UUID"] = "GPU-free"
    parse = prometheus.parse([[held, free]], [], Places(nodes=frozenset({"n1"})), AT)
    assert {sample.uuid: sample.pods for sample in parse.samples} == {
        held.metric["UUID"]: (PodRef("ml", "job", "c"),),
        "GPU-free": (),
    }


# --- how it fails ---


@pytest.fixture
def names() -> dict[str, Any]:
    return {"/api/v1/label/__name__/values": Reply({"status": "success", "data": ["DCGM_FI_DEV_GPU_TEMP"]})}


@pytest.mark.parametrize(
    ("reply", "outcome", "words"),
    [
        (Reply("login", status=401), Outcome.UNAUTHORISED, "MUSTER_PROMETHEUS_TOKEN"),
        (Reply("no", status=403), Outcome.FORBIDDEN, "refuses Muster's credentials"),
        (Reply("<html>"), Outcome.MALFORMED, "without JSON"),
        (Reply({"status": "error", "error": "parse error"}, status=400), Outcome.MALFORMED, "parse error"),
        (Reply({"status": "success", "data": {"result": "what?"}}), Outcome.MALFORMED, "unknown form"),
        (Reply(reset=True), Outcome.UNREACHABLE, ""),
        (Reply(b"{}", delay=3), Outcome.TIMEOUT, "not answered within"),
    ],
)
def test_a_server_that_fails_says_why(names: dict[str, Any], reply: Reply, outcome: Outcome, words: str) -> None:
    with serving(names | {"/api/v1/query": reply}) as api, pytest.raises(Failure) as failed:
        prometheus.fetch(Server(api.url, "", Deadline(1)), Places(), AT)
    assert failed.value.outcome is outcome
    assert words in failed.value.reason


def test_no_server_is_named() -> None:
    with pytest.raises(Failure, match="MUSTER_PROMETHEUS_URL"):
        prometheus.fetch(Server("", "", Deadline(1)), Places(), AT)


def test_a_server_without_gpus_is_empty(names: dict[str, Any]) -> None:
    routes = {"/api/v1/label/__name__/values": Reply({"status": "success", "data": []})}
    with serving(routes) as api:
        assert isinstance(api, FakeApi)
        assert prometheus.fetch(Server(api.url, "", Deadline(5)), Places(), AT).samples == ()
