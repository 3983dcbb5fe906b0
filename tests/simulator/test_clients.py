"""Other people's clients work against the simulated fleet: the Python client, and kubectl."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from kubernetes import client, config, watch

from fleet.simulator import kubeconfig
from fleet.simulator.fleet import build_fleet
from fleet.simulator.server import Simulation, serve
from tests.programs import need
from tests.simulator.conftest import Client


@pytest.fixture(scope="module")
def small() -> Iterator[Simulation]:
    """Twenty nodes in three clusters: the Python client's own models are slow."""
    with serve(build_fleet(nodes=20)) as served:
        yield served


@pytest.fixture(params=["own address", "common address", "plain HTTP"])
def kubeconfig_path(request: pytest.FixtureRequest, small: Simulation, tmp_path: Path) -> Path:
    return small.kubeconfig(tmp_path / "config", prefix=request.param == "common address", tls=request.param != "plain HTTP")


def _core(path: Path, context: str) -> client.CoreV1Api:
    return client.CoreV1Api(config.new_client_from_config(str(path), context))


@pytest.mark.parametrize("name", ["prod-us-east", "prod-eu-west", "research-onprem"])
def test_the_python_client_lists(small: Simulation, kubeconfig_path: Path, name: str) -> None:
    cluster = small.fleet[name]
    core = _core(kubeconfig_path, name)
    assert [node.metadata.name for node in core.list_node().items] == sorted(cluster.nodes)
    pods = core.list_pod_for_all_namespaces(limit=10)
    assert len(pods.items) == 10
    rest = core.list_pod_for_all_namespaces(_continue=pods.metadata._continue)
    assert {f"{pod.metadata.namespace}/{pod.metadata.name}" for pod in pods.items + rest.items} == set(cluster.pods)
    version = client.VersionApi(core.api_client).get_code()
    assert version.git_version == cluster.flavour.version


def test_the_python_client_reads_everything_else(simulation: Simulation, tmp_path: Path) -> None:
    core = _core(simulation.kubeconfig(tmp_path / "config"), "prod-us-east")
    api = core.api_client
    assert client.AppsV1Api(api).list_daemon_set_for_all_namespaces().items
    policies = client.CustomObjectsApi(api).list_cluster_custom_object("nvidia.com", "v1", "clusterpolicies")
    assert policies["items"][0]["status"]["state"] == "notReady", "one broken node is enough"
    assert client.ResourceV1Api(api).list_resource_slice().items
    assert core.read_namespaced_config_map("device-plugin-config", "gpu-operator").data
    review = client.V1SelfSubjectRulesReview(spec=client.V1SelfSubjectRulesReviewSpec(namespace="gpu-operator"))
    rules = client.AuthorizationV1Api(api).create_self_subject_rules_review(review)
    assert any("configmaps" in rule.resources for rule in rules.status.resource_rules)
    pod = next(pod for pod in simulation.fleet["prod-us-east"].pods.values() if pod.template.name == "nvidia-dcgm-exporter")
    text = core.connect_get_namespaced_pod_proxy_with_path(f"{pod.name}:9400", pod.namespace, "metrics")
    assert "DCGM_FI_DEV_GPU_TEMP" in text


def test_the_python_client_watches(own: Client, tmp_path: Path) -> None:
    cluster = own.simulation.fleet["prod-us-east"]
    core = _core(own.simulation.kubeconfig(tmp_path / "config"), "prod-us-east")
    since = core.list_node().metadata.resource_version
    threading.Timer(0.2, lambda: cluster.add_node("h100", name="new")).start()
    for event in watch.Watch().stream(core.list_node, resource_version=since, timeout_seconds=5):
        assert (event["type"], event["object"].metadata.name) == ("ADDED", "new")
        break


def _kubectl(path: Path, *arguments: str, context: str = "prod-us-east") -> str:
    environment = {**os.environ, "HOME": str(path.parent), "KUBECONFIG": ""}
    done = subprocess.run(
        [need("kubectl"), "--kubeconfig", str(path), "--context", context, *arguments],
        capture_output=True, text=True, timeout=60, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("prefix", [False, True], ids=["own address", "common address"])
def test_kubectl_prints_nodes_and_pods(simulation: Simulation, tmp_path: Path, prefix: bool) -> None:
    path = simulation.kubeconfig(tmp_path / "config", prefix=prefix)
    cluster = simulation.fleet["prod-us-east"]
    lines = _kubectl(path, "get", "nodes").splitlines()
    assert lines[0].split() == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
    assert [line.split()[0] for line in lines[1:]] == sorted(cluster.nodes)
    assert {line.split()[1] for line in lines[1:]} == {"Ready", "Ready,SchedulingDisabled"}
    both = _kubectl(path, "get", "nodes,pods", "-A")
    assert both.count("\npod/") + both.count(" pod/") == len(cluster.pods)
    states = {line.split()[3] for line in both.splitlines() if " pod/" in line}
    assert {"Running", "Completed", "CrashLoopBackOff", "Pending", "UnexpectedAdmissionError", "Init:0/1"} <= states


def test_kubectl_sees_a_lost_node_and_its_pods(simulation: Simulation, tmp_path: Path) -> None:
    path = simulation.kubeconfig(tmp_path / "config")
    nodes = _kubectl(path, "get", "nodes", "-o", "wide", context="prod-eu-west").splitlines()
    assert [line.split()[1] for line in nodes[1:]].count("NotReady") == 1
    lost = next(line.split()[0] for line in nodes if "NotReady" in line)
    pods = _kubectl(path, "get", "pods", "-A", "--field-selector", f"spec.nodeName={lost}", context="prod-eu-west")
    assert "Terminating" in pods
    assert "Taints:" in _kubectl(path, "describe", "node", lost, context="prod-eu-west")


def test_kubectl_reads_other_kinds(simulation: Simulation, tmp_path: Path) -> None:
    path = simulation.kubeconfig(tmp_path / "config")
    assert "clusterpolicy.nvidia.com/cluster-policy" in _kubectl(path, "get", "clusterpolicies,ds,cm", "-n", "gpu-operator")
    slices = json.loads(_kubectl(path, "get", "resourceslices", "-o", "json"))
    assert slices["items"]
    assert "nodes" in _kubectl(path, "api-resources")


def test_the_kubeconfig_is_private_whole_and_remembers_ports(simulation: Simulation, tmp_path: Path) -> None:
    path = simulation.kubeconfig(tmp_path / "new" / "config")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["config"], "no temporary file stays"
    read = yaml.safe_load(path.read_text())
    assert [entry["name"] for entry in read["contexts"]] == ["prod-us-east", "prod-eu-west", "research-onprem"]
    assert read["current-context"] == "prod-us-east"
    assert set(kubeconfig.ports(path)) == {"prod-us-east", "prod-eu-west", "research-onprem"}
    assert kubeconfig.ports(tmp_path / "missing") == {}
    path.write_text("- nonsense")
    assert kubeconfig.ports(path) == {}
