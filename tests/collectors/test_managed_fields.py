"""Who set a cordon, taint, label or annotation, from managedFields as the API server writes them, and hostile ones."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from fleet.collectors import device_taint_rules, managed_fields, resource_slices
from fleet.collectors.nodes import NodeWire, parse, with_managers
from fleet.collectors.resource_slice_wires import SliceWire

STATE = "dgxc.nvidia.com/nvsentinel-state"


def entry(manager: Any, time: str = "2026-11-23T09:00:00Z", **fields: Any) -> dict[str, Any]:
    return {"manager": manager, "operation": "Update", "apiVersion": "v1", "time": time, "fieldsV1": fields}


CORDON = {"f:spec": {"f:unschedulable": {}}}
TAINTS = {"f:spec": {"f:taints": {}}}
LABEL = {"f:metadata": {"f:labels": {".": {}, f"f:{STATE}": {}}}}


def managers(*entries: Any, unschedulable: bool = True, **labels: str) -> dict[str, str]:
    raw = {
        "metadata": {"name": "n", "uid": "u", "labels": labels, "managedFields": list(entries)},
        "spec": {"unschedulable": unschedulable, "taints": [{"key": "readiness.k8s.io/gpu", "effect": "NoSchedule"}]},
    }
    wire = msgspec.json.decode(json.dumps(raw).encode(), type=NodeWire)
    node = parse(wire)
    assert node is not None
    return {owner.field: owner.manager for owner in with_managers(node, wire).managers}


def test_each_field_has_its_manager() -> None:
    result = managers(
        entry("kubectl-cordon", **CORDON), entry("nrc", **TAINTS), entry("labeler", **LABEL), **{STATE: "quarantined"}
    )
    assert result == {"unschedulable": "kubectl-cordon", "taints": "nrc", f"label {STATE}": "labeler"}


def test_the_last_writer_counts() -> None:
    rows = [entry("late", "2026-11-23T10:00:00Z", **CORDON), entry("early", "2026-11-23T09:00:00Z", **CORDON)]
    assert managers(*rows)["unschedulable"] == "late"
    assert managers(*rows[::-1])["unschedulable"] == "late"


def test_nothing_is_read_where_nothing_takes_the_node_out_of_service() -> None:
    raw = {"metadata": {"name": "n", "managedFields": [entry("x", **CORDON)]}, "spec": {"taints": [{"key": "nvidia.com/gpu"}]}}
    wire = msgspec.json.decode(json.dumps(raw).encode(), type=NodeWire)
    node = parse(wire)
    assert node is not None
    assert with_managers(node, wire).managers == ()


@pytest.mark.parametrize(
    "entries",
    [
        [None],
        [5],
        ["x"],
        [{"manager": 7}],
        [entry(None, **CORDON)],
        [{"manager": "x", "fieldsV1": []}],
        [{"manager": "x", "fieldsV1": {"f:spec": []}}],
        [entry("x" * 300_000, **CORDON)],
    ],
)
def test_malformed_entries_name_no_manager(entries: list[Any]) -> None:
    assert managers(*entries) == {}


def test_names_and_numbers_are_bounded() -> None:
    assert len(managers(entry("m" * 1_000, **CORDON))["unschedulable"]) == 128
    many = [entry(f"m{number}", f"2026-11-23T09:00:{number % 60:02}Z", **CORDON) for number in range(200)]
    raw = msgspec.Raw(json.dumps(many).encode())
    assert len(managed_fields.parse(raw, [f"label {number}" for number in range(500)] + ["unschedulable"])) <= 1
    assert managed_fields.parse(msgspec.Raw(b"null"), ["unschedulable"]) == ()
    assert managed_fields.parse(msgspec.Raw(b"[" * 5_000), ["unschedulable"]) == ()


# --- device taints: of a DeviceTaintRule, and of a slice ---

DEVICES = {"f:spec": {"f:devices": {}}}


def test_who_set_a_device_taint_rule() -> None:
    raw = {
        "metadata": {"name": "r", "managedFields": [entry("ops-bot", **{"f:spec": {"f:taint": {"f:key": {}}}})]},
        "spec": {"deviceSelector": {"driver": "gpu.nvidia.com"}, "taint": {"key": "k", "effect": "NoExecute"}},
    }
    rule = device_taint_rules.parse(msgspec.json.decode(json.dumps(raw).encode(), type=device_taint_rules.RuleWire))
    assert rule is not None
    assert rule.setter is not None
    assert (rule.setter.manager, rule.setter.field) == ("ops-bot", "taint")


@pytest.mark.parametrize(
    ("fields", "tainted_by"),
    [
        ([entry("gpu-kubelet-plugin", **DEVICES), entry("kubectl", "2026-11-23T08:00:00Z", **DEVICES)], "gpu-kubelet-plugin"),
        ([entry("gpu-kubelet-plugin", "2026-11-23T08:00:00Z", **DEVICES), entry("kubectl-patch", **DEVICES)], "kubectl-patch"),
        ([entry("other", **CORDON)], ""),
        (None, ""),
        ("nonsense", ""),
    ],
)
def test_who_set_the_taints_of_a_slice(fields: Any, tainted_by: str) -> None:
    raw = {
        "metadata": {"name": "s", "managedFields": fields},
        "spec": {
            "driver": "gpu.nvidia.com",
            "nodeName": "n",
            "pool": {"name": "n", "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": "ill", "taints": [{"key": "k", "effect": "NoSchedule"}]}, {"name": "well"}],
        },
    }
    wire = msgspec.json.decode(json.dumps(raw).encode(), type=SliceWire)
    by_name = {device.name: device.tainted_by for device in resource_slices.parse([wire], "v1").devices}
    assert by_name == {"ill": tainted_by, "well": ""}
