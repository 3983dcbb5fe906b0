"""The manifest that people apply gives Muster every right it uses, and none that changes anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.collectors.permissions import NEEDS, Need

MANIFEST = Path(__file__).parents[2] / "deploy" / "rbac" / "muster-reader.yaml"
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all(MANIFEST.read_text()))
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
