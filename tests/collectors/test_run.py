"""Whole passes over real HTTP against the simulated fleet: one section's failure, told, and never another's."""

from __future__ import annotations

import contextlib
import gc
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.collectors import kube, nodes, pod_lists, run, session
from fleet.collectors.kube import Connection
from fleet.collectors.run import SECTIONS, collect
from fleet.collectors.session import Limits
from fleet.domain.outcomes import Outcome
from fleet.domain.snapshot import ClusterSnapshot
from fleet.simulator.faults import Faults
from fleet.simulator.fleet import build_fleet
from fleet.simulator.server import Simulation, serve
from tests.collectors.fake_api import Reply, serving, write_kubeconfig

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CLUSTER = "prod-us-east"
SMALL = Limits(page_size=10)
ASKED = ("telemetry", "model_servers")
NEED = {"operator": ("device_plugin_config",), "pods": ASKED}
"""What cannot be read without a section."""


@pytest.fixture(scope="module")
def simulation() -> Iterator[Simulation]:
    with serve(build_fleet(clusters=1, pods_per_node=15)) as running:
        yield running


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses keep their order, and are shorter."""
    monkeypatch.setattr(session, "_BACKOFF_S", 0.02)
    monkeypatch.setattr(kube, "CONNECT_TIMEOUT_S", 1.0)


@pytest.fixture
def faults(simulation: Simulation) -> Iterator[Faults]:
    found = simulation.faults(CLUSTER)
    yield found
    found.clear()


@pytest.fixture
def connection(simulation: Simulation, tmp_path: Path) -> Connection:
    return one(simulation.kubeconfig(tmp_path / "kubeconfig"))


@pytest.fixture(scope="module")
def whole(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> ClusterSnapshot:
    """What a pass sees when nothing is wrong."""
    return look(one(simulation.kubeconfig(tmp_path_factory.mktemp("whole") / "kubeconfig")))


def one(path: Path) -> Connection:
    (connection,) = kube.list_connections(str(path), [], False)
    return connection


def look(connection: Connection, **more: Any) -> ClusterSnapshot:
    return collect(connection, now=lambda: NOW, **more)


def outcomes(snapshot: ClusterSnapshot) -> dict[str, Outcome]:
    return {name: report.outcome for name, report in snapshot.sections.items()}


def others(snapshot: ClusterSnapshot, *names: str) -> set[Outcome]:
    return {outcome for name, outcome in outcomes(snapshot).items() if name not in names}


# --- nothing is wrong ---


def test_a_whole_pass(whole: ClusterSnapshot, simulation: Simulation) -> None:
    assert set(whole.sections) == set(SECTIONS)
    assert set(outcomes(whole).values()) == {Outcome.COLLECTED}
    assert all(not report.reason and not report.hides for report in whole.sections.values())
    assert (whole.name, whole.taken_at, whole.platform) == (CLUSTER, NOW, "EKS")
    assert whole.server_version.startswith("v1.")
    assert whole.node_count == whole.section("nodes").count
    assert 0 < len(whole.nodes) < whole.node_count
    assert whole.permissions.missing == ()
    assert whole.permissions.writes == ()


def test_a_whole_pass_finds_every_kind_of_thing(whole: ClusterSnapshot) -> None:
    components = {pod.component for pod in whole.pods}
    assert {"driver", "toolkit", "device-plugin", "dcgm-exporter", "gpu-feature-discovery", "validator", ""} <= components
    assert {daemonset.component for daemonset in whole.operator.daemonsets} >= {"driver", "device-plugin"}
    assert whole.operator.policies[0].state
    assert whole.device_plugin.configs
    assert whole.device_plugin.default_key == "default"
    assert {device.driver for device in whole.slices.devices} >= {"gpu.nvidia.com"}
    assert whole.allocations
    names = {node.name for node in whole.nodes}
    assert {pod.node_name for pod in whole.pods if pod.node_name and not pod.component} <= names


def test_two_passes_over_an_unchanged_cluster_are_equal(connection: Connection) -> None:
    first, second = look(connection), look(connection)
    assert first.nodes == second.nodes
    assert first.pods == second.pods
    assert first.operator == second.operator


def test_pages_of_any_size_see_the_same(connection: Connection, whole: ClusterSnapshot) -> None:
    paged = look(connection, limits=SMALL)
    assert paged.nodes == whole.nodes
    assert paged.pods == whole.pods


def test_asking_node_by_node_sees_the_same_pods(
    connection: Connection, whole: ClusterSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod_lists, "FEW_NODES_SHARE", 1.0)
    few = look(connection)
    assert few.section("pods").outcome is Outcome.COLLECTED
    assert {pod.uid for pod in few.pods} == {pod.uid for pod in whole.pods}


def test_a_node_that_was_one_stays_one(connection: Connection, whole: ClusterSnapshot) -> None:
    gpu_nodes = {node.name for node in whole.nodes}
    assert whole.node_count is not None
    everything = look(connection, known_gpu_nodes=frozenset({"cpu"}))
    assert {node.name for node in everything.nodes} == gpu_nodes, "a name alone makes no node"
    cpu = next(pod.node_name for pod in whole.pods if pod.node_name and pod.node_name not in gpu_nodes)
    with_known = look(connection, known_gpu_nodes=frozenset({cpu}))
    assert {node.name for node in with_known.nodes} == gpu_nodes | {cpu}
    assert any(pod.node_name == cpu and not pod.component for pod in with_known.pods)


def test_the_cyclic_collector_is_back_afterwards(connection: Connection, faults: Faults) -> None:
    faults.set(unauthorised=True)
    look(connection)
    assert gc.isenabled()


# --- nobody to ask ---


@pytest.mark.parametrize(
    ("how", "outcome", "says"),
    [
        ("refused", Outcome.UNREACHABLE, "refuses connections"),
        ("blackhole", Outcome.UNREACHABLE, "did not accept a connection"),
        ("hang", Outcome.TIMEOUT, "was not answered within"),
    ],
)
def test_an_unreachable_cluster_is_given_up_at_once(
    connection: Connection, faults: Faults, how: str, outcome: Outcome, says: str
) -> None:
    faults.set(unreachable=how)
    started = time.monotonic()
    snapshot = look(connection, deadline_s=2.0)
    assert time.monotonic() - started < 4
    assert snapshot.section("version").outcome is outcome
    assert says in snapshot.section("version").reason
    assert others(snapshot, "version") == {Outcome.SKIPPED}
    assert all(report.reason and report.hides for report in snapshot.sections.values())
    assert (snapshot.nodes, snapshot.pods, snapshot.node_count) == ((), (), None)


def test_a_cluster_that_comes_back_is_read_again(connection: Connection, faults: Faults, whole: ClusterSnapshot) -> None:
    faults.set(unreachable="refused")
    look(connection, deadline_s=3.0)
    faults.clear()
    assert look(connection).nodes == whole.nodes


def test_a_wrong_token(connection: Connection, faults: Faults) -> None:
    faults.set(unauthorised=True)
    snapshot = look(connection)
    assert snapshot.section("version").outcome is Outcome.UNAUTHORISED
    assert others(snapshot, "version") == {Outcome.SKIPPED}


def test_no_token_is_unauthorised_though_the_server_says_forbidden(simulation: Simulation, tmp_path: Path) -> None:
    path = edit(simulation.kubeconfig(tmp_path / "kubeconfig"), user={})
    snapshot = look(one(path))
    assert Outcome.UNAUTHORISED in outcomes(snapshot).values()
    assert "anonymous" in " ".join(report.reason for report in snapshot.sections.values())
    assert Outcome.FORBIDDEN not in outcomes(snapshot).values()


def test_an_authority_that_is_not_trusted(simulation: Simulation, tmp_path: Path) -> None:
    path = edit(simulation.kubeconfig(tmp_path / "kubeconfig"), without=("certificate-authority-data",))
    if not one(path).server.startswith("https:"):
        pytest.fail("the simulated fleet must speak TLS for this")
    snapshot = look(one(path))
    assert snapshot.section("version").outcome is Outcome.TLS
    assert others(snapshot, "version") == {Outcome.SKIPPED}


def test_something_else_that_answers(tmp_path: Path) -> None:
    page = Reply("<html>Sign in</html>", headers={"Content-Type": "text/html"})
    with serving({"*": page}) as server:
        snapshot = look(one(write_kubeconfig(tmp_path / "config", server.url)))
    assert snapshot.section("version").outcome is Outcome.MALFORMED
    assert others(snapshot, "version") == {Outcome.SKIPPED}
    assert server.paths() == ["/version"]


def test_a_kubeconfig_that_cannot_be_used_is_told_not_raised(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "config", "https://127.0.0.1:9", None, {"certificate-authority": "gone.pem"})
    snapshot = look(one(path))
    assert snapshot.section("version").outcome is Outcome.UNREACHABLE
    assert "gone.pem" in snapshot.section("version").reason


# --- one section fails ---


@pytest.mark.parametrize(
    ("resource", "section"),
    [
        ("nodes", "nodes"),
        ("pods", "pods"),
        ("daemonsets", "operator"),
        ("clusterpolicies", "operator"),
        ("resourceslices", "resource_slices"),
        ("resourceclaims", "resource_claims"),
        ("events", "events"),
    ],
)
def test_a_right_taken_away_costs_its_section_only(connection: Connection, faults: Faults, resource: str, section: str) -> None:
    faults.set(forbidden=[("list", resource)])
    snapshot = look(connection)
    report = snapshot.section(section)
    assert report.outcome is Outcome.FORBIDDEN
    assert f"may not list {resource}" in report.reason
    assert report.hides
    assert others(snapshot, section, *NEED.get(section, ())) == {Outcome.COLLECTED}
    assert [right.resource for right in snapshot.permissions.missing] == [resource]


def test_a_config_map_that_may_not_be_read(connection: Connection, faults: Faults) -> None:
    faults.set(forbidden=[("*", "configmaps")])
    snapshot = look(connection)
    assert snapshot.section("device_plugin_config").outcome is Outcome.FORBIDDEN
    assert others(snapshot, "device_plugin_config") == {Outcome.COLLECTED}
    (right,) = snapshot.permissions.missing
    assert (right.verb, right.resource, right.namespace) == ("get", "configmaps", "gpu-operator")


def test_telemetry_without_its_right(connection: Connection, faults: Faults) -> None:
    faults.set(forbidden=[("get", "pods/proxy")])
    snapshot = look(connection)
    assert others(snapshot, *ASKED) == {Outcome.COLLECTED}
    for name in ASKED:
        assert snapshot.section(name).outcome is Outcome.FORBIDDEN
        assert "may not get pods/proxy" in snapshot.section(name).reason
    assert [right.resource for right in snapshot.permissions.missing] == ["pods/proxy"]


def test_absent_groups_are_known_to_be_absent(connection: Connection, faults: Faults) -> None:
    faults.set(absent_groups=["nvidia.com", "resource.k8s.io"])
    snapshot = look(connection)
    assert snapshot.section("resource_slices").outcome is Outcome.ABSENT
    assert snapshot.section("resource_claims").outcome is Outcome.ABSENT
    assert snapshot.section("resource_slices").complete
    assert snapshot.section("operator").outcome is Outcome.COLLECTED
    assert snapshot.operator.policies == ()
    assert snapshot.operator.daemonsets


def test_absent_and_refused_is_still_absent(connection: Connection, faults: Faults) -> None:
    faults.set(absent_groups=["resource.k8s.io"], forbidden=[("*", "resourceslices"), ("*", "resourceclaims")])
    snapshot = look(connection)
    assert snapshot.section("resource_slices").outcome is Outcome.ABSENT
    assert snapshot.permissions.missing == ()


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_server_errors(connection: Connection, faults: Faults, status: int) -> None:
    faults.set(errors={"/api/v1/nodes": status})
    snapshot = look(connection)
    assert snapshot.section("nodes").outcome is Outcome.UNREACHABLE
    assert str(status) in snapshot.section("nodes").reason
    assert others(snapshot, "nodes") == {Outcome.COLLECTED}


def test_a_server_that_says_500_is_there(connection: Connection, faults: Faults) -> None:
    faults.set(errors={"/api/v1/nodes": 500, "/api/v1/pods": 500})
    snapshot = look(connection)
    assert snapshot.section("device_plugin_config").outcome is Outcome.COLLECTED
    assert snapshot.section("resource_claims").outcome is Outcome.COLLECTED


def test_one_hiccup_is_not_even_noticed(connection: Connection, faults: Faults) -> None:
    faults.set(errors={"/api/v1/nodes": 503}, error_times=1)
    assert look(connection).section("nodes").outcome is Outcome.COLLECTED


def test_throttling_is_waited_for(connection: Connection, faults: Faults) -> None:
    faults.set(throttled=1, throttled_json=1, retry_after=1)
    started = time.monotonic()
    snapshot = look(connection)
    assert set(outcomes(snapshot).values()) == {Outcome.COLLECTED}
    assert time.monotonic() - started >= 2


def test_a_server_that_only_throttles_meets_no_storm(connection: Connection, faults: Faults) -> None:
    faults.set(throttled=1000, retry_after=0)
    snapshot = look(connection)
    assert Outcome.THROTTLED in outcomes(snapshot).values()
    asked = 1000 - faults.throttled
    assert asked <= len(SECTIONS) + 4 + Limits().retries, f"{asked} requests to a server that said no"


def test_a_long_wait_ends_the_section_at_once(connection: Connection, faults: Faults) -> None:
    faults.set(throttled=1000, retry_after=600)
    started = time.monotonic()
    look(connection)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("path", "section"),
    [
        ("/api/v1/nodes", "nodes"),
        ("/api/v1/pods", "pods"),
        ("/apis/apps/v1/daemonsets", "operator"),
        ("resourceslices", "resource_slices"),
        ("resourceclaims", "resource_claims"),
        ("/events", "events"),
        ("configmaps", "device_plugin_config"),
        ("selfsubjectrulesreviews", "permissions"),
    ],
)
def test_an_answer_that_is_not_understood(connection: Connection, faults: Faults, path: str, section: str) -> None:
    faults.set(malformed=[path])
    snapshot = look(connection)
    assert snapshot.section(section).outcome is Outcome.MALFORMED
    assert others(snapshot, section, *NEED.get(section, ())) == {Outcome.COLLECTED}


def test_an_answer_that_breaks_off(connection: Connection, faults: Faults) -> None:
    faults.set(truncated=["/api/v1/pods"])
    snapshot = look(connection)
    assert snapshot.section("pods").outcome is Outcome.UNREACHABLE
    assert others(snapshot, "pods", *ASKED) == {Outcome.COLLECTED}
    assert {snapshot.section(name).outcome for name in ASKED} == {Outcome.SKIPPED}
    assert "not known whom to ask" in snapshot.section("telemetry").reason


def test_an_answer_that_is_too_large(connection: Connection, faults: Faults) -> None:
    faults.set(oversized_mib=2)
    snapshot = look(connection, limits=Limits(max_page_bytes=2**20))
    assert snapshot.section("nodes").outcome is Outcome.TOO_LARGE
    assert "1 MiB" in snapshot.section("nodes").reason


def test_something_muster_did_not_expect(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(nodes, "parse", broken)
    snapshot = look(connection)
    assert snapshot.section("nodes").outcome is Outcome.MALFORMED
    assert "KeyError: 'surprise'" in snapshot.section("nodes").reason
    assert others(snapshot, "nodes") == {Outcome.COLLECTED}


# --- half-read lists ---


def test_a_half_read_list_keeps_what_was_read_and_claims_no_more(
    connection: Connection, faults: Faults, whole: ClusterSnapshot
) -> None:
    faults.set(fail_after_page=2, fail_paths=["/api/v1/nodes"])
    snapshot = look(connection, limits=SMALL)
    report = snapshot.section("nodes")
    assert report.outcome is Outcome.INCOMPLETE
    assert not report.complete
    assert report.count == 20
    assert "after 2 pages" in report.reason
    assert snapshot.node_count is None
    assert {node.name for node in snapshot.nodes} < {node.name for node in whole.nodes}
    assert others(snapshot, "nodes") == {Outcome.COLLECTED}


def test_an_expired_list_is_begun_again(connection: Connection, faults: Faults, whole: ClusterSnapshot) -> None:
    faults.set(expire_after_page=2, expire_times=1, fail_paths=["/api/v1/nodes"])
    snapshot = look(connection, limits=SMALL)
    assert snapshot.section("nodes").outcome is Outcome.COLLECTED
    assert snapshot.nodes == whole.nodes


def test_a_list_that_always_expires_is_told(connection: Connection, faults: Faults) -> None:
    faults.set(expire_after_page=2, expire_times=-1, fail_paths=["/api/v1/pods"])
    snapshot = look(connection, limits=SMALL)
    assert snapshot.section("pods").outcome is Outcome.EXPIRED
    assert snapshot.pods
    assert others(snapshot, "pods", *ASKED) == {Outcome.COLLECTED}
    assert {snapshot.section(name).outcome for name in ASKED} <= {Outcome.INCOMPLETE, Outcome.SKIPPED}


# --- time ---


def test_a_hanging_section_ends_with_the_deadline(connection: Connection, faults: Faults) -> None:
    faults.set(hang_paths=["/api/v1/pods"])
    started = time.monotonic()
    snapshot = look(connection, deadline_s=2.0)
    assert time.monotonic() - started < 3.5
    assert snapshot.section("nodes").outcome is Outcome.COLLECTED
    assert snapshot.section("pods").outcome is Outcome.TIMEOUT
    assert snapshot.section("resource_claims").outcome is Outcome.SKIPPED
    assert "2 s of this pass were spent" in snapshot.section("resource_claims").reason


def test_a_slow_cluster_keeps_within_its_deadline(connection: Connection, faults: Faults) -> None:
    faults.set(slow_seconds=0.4)
    started = time.monotonic()
    snapshot = look(connection, deadline_s=1.5)
    assert time.monotonic() - started < 3
    assert snapshot.section("version").outcome is Outcome.COLLECTED
    assert snapshot.section("pods").outcome is Outcome.SKIPPED


# --- credentials ---


def edit(path: Path, user: dict[str, Any] | None = None, without: tuple[str, ...] = ()) -> Path:
    """Change the user, and drop keys of the cluster, in the simulated fleet's own kubeconfig."""
    content = yaml.safe_load(path.read_text())
    for entry in content["users"]:
        if user is not None:
            entry["user"] = user
    for entry in content["clusters"]:
        for key in without:
            entry["cluster"].pop(key, None)
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_plugin_gives_the_token(simulation: Simulation, tmp_path: Path) -> None:
    status = {"token": simulation.token(CLUSTER)}
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!{sys.executable}\nprint({json.dumps(credential)!r})\n")
    plugin.chmod(0o700)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin"}}
    snapshot = look(one(edit(simulation.kubeconfig(tmp_path / "kubeconfig"), user)))
    assert set(outcomes(snapshot).values()) == {Outcome.COLLECTED}


def test_a_token_that_rotates_between_passes(simulation: Simulation, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("expired")
    connection = one(edit(simulation.kubeconfig(tmp_path / "kubeconfig"), {"tokenFile": "token"}))
    assert look(connection).section("version").outcome is Outcome.UNAUTHORISED
    token.write_text(simulation.token(CLUSTER) + "\n")
    assert set(outcomes(look(connection)).values()) == {Outcome.COLLECTED}


def test_a_token_that_dies_in_the_middle_ends_the_pass(
    connection: Connection, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = nodes.fetch

    def dying(*arguments: Any) -> Any:
        faults.set(unauthorised=True)
        return original(*arguments)

    monkeypatch.setattr(nodes, "fetch", dying)
    snapshot = look(connection)
    assert snapshot.section("permissions").outcome is Outcome.COLLECTED
    assert snapshot.section("nodes").outcome is Outcome.UNAUTHORISED
    assert snapshot.section("pods").outcome is Outcome.SKIPPED


def test_a_server_that_dies_in_the_middle_is_asked_only_once_more(
    connection: Connection, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = nodes.fetch

    def dying(*arguments: Any) -> Any:
        faults.set(unreachable="refused")
        return original(*arguments)

    monkeypatch.setattr(nodes, "fetch", dying)
    snapshot = look(connection)
    assert snapshot.section("nodes").outcome is Outcome.UNREACHABLE
    assert snapshot.section("pods").outcome is Outcome.UNREACHABLE
    assert snapshot.section("device_plugin_config").outcome is Outcome.SKIPPED


def test_a_forked_worker_has_connections_of_its_own(connection: Connection) -> None:
    import os

    look(connection)
    parent = kube.open_client(connection)
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            fresh = kube.open_client(connection) is not parent
            code = 0 if fresh and look(connection).section("nodes").complete else 2
        os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert look(connection).section("nodes").complete


def test_sections_are_told_in_the_order_they_are_read() -> None:
    assert set(SECTIONS) == set(run._HIDES)
