"""The manifests that people apply give Muster every right it uses, and none that changes anything."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.collectors.connections import list_connections
from fleet.collectors.needed_permissions import NEEDS, Need
from fleet.collectors.run import collect
from fleet.simulator.fleet import build_fleet
from fleet.simulator.server import serve
from tests.kept_clients import close_clients

ROOT = Path(__file__).parents[2]
FILES: dict[str, list[dict[str, Any]]] = {
    path.name: list(yaml.safe_load_all(path.read_text())) for path in sorted((ROOT / "deploy" / "rbac").glob("*.yaml"))
}
OBJECTS = [item for objects in FILES.values() for item in objects]
ROLES = [item for item in OBJECTS if item["kind"] in ("ClusterRole", "Role")]


def held(namespace: str) -> list[dict[str, Any]]:
    """The rules that hold in a namespace; "" is everywhere."""
    return [
        rule
        for role in ROLES
        if role["kind"] == "ClusterRole" or role["metadata"]["namespace"] == namespace
        for rule in role["rules"]
    ]


@pytest.mark.parametrize("need", NEEDS, ids=lambda need: f"{need.verb} {need.resource}")
def test_every_right_is_given(need: Need) -> None:
    namespace = "gpu-operator" if need.in_namespace else need.namespace
    assert any(
        need.verb in rule["verbs"] and need.group in rule["apiGroups"] and need.resource in rule["resources"]
        for rule in held(namespace)
    )


def test_no_right_is_given_that_no_collector_uses() -> None:
    """What collectors ask is NEEDS: each of them names the right that a refusal of its request stands for."""
    given = {
        (verb, group, resource, role["metadata"].get("namespace", ""))
        for role in ROLES
        for rule in role["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    used = {(need.verb, need.group, need.resource, "gpu-operator" if need.in_namespace else need.namespace) for need in NEEDS}
    assert given == used


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str, str, str]]:
    """What a simulated fleet was asked in two runs of every cluster."""
    with serve(build_fleet(clusters=3, pods_per_node=15)) as simulation:
        path = simulation.kubeconfig(tmp_path_factory.mktemp("kube") / "config")
        for connection in list_connections(str(path), [], False):
            for _ in range(2):
                collect(connection, now=lambda: datetime.now(UTC))
        close_clients()
        return {entry for cluster in simulation.fleet.clusters for entry in cluster.access.audit}


def test_the_rights_are_exactly_what_the_simulator_was_asked_for(audit: set[tuple[str, str, str, str]]) -> None:
    used = {entry for entry in audit if not entry[2].startswith("selfsubject")}
    assert used, "nothing was asked"
    not_simulated = {"visibility.kueue.x-k8s.io", "scheduling.volcano.sh", "scheduling.run.ai"}
    everywhere = {entry for entry in rights("") if entry[2] != "pods/proxy" and entry[1] not in not_simulated}
    assert {entry[:3] for entry in used if not entry[3]} == everywhere
    for verb, group, resource, namespace in used:
        allowed = (verb, group, resource) in {*rights(""), *rights(namespace if resource == "events" else "gpu-operator")}
        assert allowed, (verb, group, resource, namespace)
    in_namespaces = {entry[:3] for entry in used if entry[3]}
    assert in_namespaces >= {("get", "", "pods/proxy"), ("get", "", "configmaps"), ("list", "", "events")}
    assert {entry[0] for entry in used} == {"get", "list"}


def rights(namespace: str) -> set[tuple[str, str, str]]:
    rules = held(namespace)
    return {
        (verb, group, resource)
        for rule in rules
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def test_nothing_can_be_changed() -> None:
    assert {verb for role in ROLES for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list"}


def test_every_role_is_bound_to_the_account() -> None:
    bound = {
        (item["roleRef"]["kind"], item["roleRef"]["name"], item["metadata"].get("namespace"))
        for item in OBJECTS
        if item["kind"].endswith("Binding")
        and item["subjects"] == [{"kind": "ServiceAccount", "name": "muster", "namespace": "muster"}]
    }
    assert bound == {(role["kind"], role["metadata"]["name"], role["metadata"].get("namespace")) for role in ROLES}


def test_the_first_file_can_be_applied_to_any_cluster() -> None:
    """An object in a namespace that is not there ends `kubectl apply` with an error."""
    made = {item["metadata"]["name"] for item in FILES["muster-reader.yaml"] if item["kind"] == "Namespace"}
    named = {item["metadata"].get("namespace") for item in FILES["muster-reader.yaml"]} - {None}
    assert named <= made | {"default"}


def test_the_operators_file_is_about_its_namespace_alone() -> None:
    assert set(FILES) == {"muster-reader.yaml", "gpu-operator.yaml"}
    assert {item["metadata"].get("namespace") for item in FILES["gpu-operator.yaml"]} == {"gpu-operator"}


def test_the_readme_applies_every_file_and_runs_as_the_account_they_make() -> None:
    readme = (ROOT / "README.md").read_text()
    assert all(f"kubectl apply -f deploy/rbac/{name}" in readme for name in FILES)
    assert "-n muster create token muster" in readme
    assert "MUSTER_KUBECONFIG=~/.kube/config" not in readme, "that is the reader's own account, which may do anything"
