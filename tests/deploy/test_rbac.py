"""The manifests that people apply give Muster every right it uses, and none that changes anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.collectors.permissions import NEEDS, Need

ROOT = Path(__file__).parents[2]
FILES: dict[str, list[dict[str, Any]]] = {
    path.name: list(yaml.safe_load_all(path.read_text())) for path in sorted((ROOT / "deploy" / "rbac").glob("*.yaml"))
}
OBJECTS = [one for objects in FILES.values() for one in objects]
ROLES = [one for one in OBJECTS if one["kind"] in ("ClusterRole", "Role")]


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


def test_nothing_can_be_changed() -> None:
    assert {verb for role in ROLES for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}


def test_every_role_is_bound_to_the_account() -> None:
    bound = {
        (one["roleRef"]["kind"], one["roleRef"]["name"], one["metadata"].get("namespace"))
        for one in OBJECTS
        if one["kind"].endswith("Binding")
        and one["subjects"] == [{"kind": "ServiceAccount", "name": "muster", "namespace": "muster"}]
    }
    assert bound == {(role["kind"], role["metadata"]["name"], role["metadata"].get("namespace")) for role in ROLES}


def test_the_first_file_can_be_applied_to_any_cluster() -> None:
    """An object in a namespace that is not there ends `kubectl apply` with an error."""
    made = {one["metadata"]["name"] for one in FILES["muster-reader.yaml"] if one["kind"] == "Namespace"}
    named = {one["metadata"].get("namespace") for one in FILES["muster-reader.yaml"]} - {None}
    assert named <= made | {"default"}


def test_the_operators_file_is_about_its_namespace_alone() -> None:
    assert set(FILES) == {"muster-reader.yaml", "gpu-operator.yaml"}
    assert {one["metadata"].get("namespace") for one in FILES["gpu-operator.yaml"]} == {"gpu-operator"}


def test_the_readme_applies_every_file_and_runs_as_the_account_they_make() -> None:
    readme = (ROOT / "README.md").read_text()
    assert all(f"kubectl apply -f deploy/rbac/{name}" in readme for name in FILES)
    assert "-n muster create token muster" in readme
    assert "MUSTER_KUBECONFIG=~/.kube/config" not in readme, "that is the reader's own account, which may do anything"
