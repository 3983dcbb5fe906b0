"""Whole passes over real HTTP against the simulated fleet: what they see, in which time, and with whose credentials."""

from __future__ import annotations

import contextlib
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fleet.collectors import nodes, pod_lists
from fleet.collectors.clients import open_client
from fleet.collectors.connections import Connection
from fleet.collectors.sections import HIDES, SECTIONS
from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.snapshot.sections import Outcome
from fleet.simulator.faults import Faults
from fleet.simulator.server import Simulation
from tests.collectors.passes import CLUSTER, NOW, SMALL, edit, look, only_connection, outcomes

pytestmark = pytest.mark.usefixtures("impatient")


def test_a_full_run(whole: ClusterSnapshot, simulation: Simulation) -> None:
    assert set(whole.sections) == set(SECTIONS)
    assert set(outcomes(whole).values()) == {Outcome.COLLECTED}
    assert all(not report.reason and not report.hides for report in whole.sections.values())
    assert (whole.name, whole.taken_at, whole.platform) == (CLUSTER, NOW, "EKS")
    assert whole.server_version.startswith("v1.")
    assert whole.node_count == whole.section("nodes").count
    assert 0 < len(whole.nodes) < whole.node_count
    assert whole.permissions.missing == ()
    assert whole.permissions.writes == ()


def test_a_full_run_finds_every_kind_of_thing(whole: ClusterSnapshot) -> None:
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


# --- time ---


def test_a_hanging_section_ends_with_the_deadline(connection: Connection, faults: Faults) -> None:
    faults.set(hang_paths=["/api/v1/pods"])
    started = time.monotonic()
    snapshot = look(connection, deadline_s=2.0)
    assert time.monotonic() - started < 3.5
    assert snapshot.section("nodes").outcome is Outcome.COLLECTED
    assert snapshot.section("pods").outcome is Outcome.TIMEOUT
    assert snapshot.section("resource_claims").outcome is Outcome.SKIPPED
    assert "2 s of this run were used up" in snapshot.section("resource_claims").reason


def test_a_slow_cluster_keeps_within_its_deadline(connection: Connection, faults: Faults) -> None:
    faults.set(slow_seconds=0.4)
    started = time.monotonic()
    snapshot = look(connection, deadline_s=1.5)
    assert time.monotonic() - started < 3
    assert snapshot.section("version").outcome is Outcome.COLLECTED
    assert snapshot.section("pods").outcome is Outcome.SKIPPED


# --- credentials ---


def test_a_plugin_gives_the_token(simulation: Simulation, tmp_path: Path) -> None:
    status = {"token": simulation.token(CLUSTER)}
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!{sys.executable}\nprint({json.dumps(credential)!r})\n")
    plugin.chmod(0o700)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin"}}
    snapshot = look(only_connection(edit(simulation.kubeconfig(tmp_path / "kubeconfig"), user)))
    assert set(outcomes(snapshot).values()) == {Outcome.COLLECTED}


def test_a_token_that_rotates_between_passes(simulation: Simulation, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("expired")
    connection = only_connection(edit(simulation.kubeconfig(tmp_path / "kubeconfig"), {"tokenFile": "token"}))
    assert look(connection).section("version").outcome is Outcome.UNAUTHORISED
    token.write_text(simulation.token(CLUSTER) + "\n")
    assert set(outcomes(look(connection)).values()) == {Outcome.COLLECTED}


def test_a_token_that_dies_in_the_middle_ends_the_run(
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
    parent = open_client(connection)
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            fresh = open_client(connection) is not parent
            code = 0 if fresh and look(connection).section("nodes").complete else 2
        os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert look(connection).section("nodes").complete


def test_sections_are_reported_in_the_order_they_are_read() -> None:
    assert set(SECTIONS) == set(HIDES)
