"""Everything that a node's rules can read is in the digest of its inputs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

import fleet.domain
from fleet.domain.evaluation.cluster_facts import ClusterFacts, facts_of
from fleet.domain.evaluation.evaluate import NOT_INSPECTED
from fleet.domain.evaluation.kept import digests
from fleet.domain.evaluation.run_clock import RunClock
from fleet.domain.evaluation.subject import (
    ClusterContext,
    ClusterHistory,
    ClusterStack,
    NodeHistory,
    NodeReports,
    NodeSubject,
    Policy,
    XidPolicy,
)
from fleet.domain.snapshot import ClusterSnapshot, DraAllocation, NodeEvent, OperatorSnapshot, ResourceSlices, Taint
from fleet.domain.snapshot.dra import DeviceClass, DeviceTaintRule
from fleet.domain.snapshot.operator import DevicePluginConfigs
from fleet.domain.snapshot.readiness_rules import NodeReadinessRule
from fleet.domain.snapshot.scheduling import PodScheduling
from fleet.domain.snapshot.sections import Outcome, SectionReport
from fleet.domain.snapshot.telemetry import DeviceSample, ExporterReport, ModelServer
from tests.builders import NODE, make_dra_device, make_node, make_pod

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
OTHER_INPUTS: Mapping[type[msgspec.Struct], Mapping[str, object]] = {
    NodeSubject: {"node": make_node("other"), "history": None, "policy": None, "cluster": None, "devices": None, "clock": None},
    NodeReports: {
        "pods": (make_pod(),),
        "dra_devices": (make_dra_device(),),
        "allocations": (DraAllocation(driver="d", pool="p", device="x", namespace="n", claim="c"),),
        "samples": (DeviceSample(node_name="n", uuid="u", at=NOW),),
        "exporters": (ExporterReport(node_name="n", outcome=Outcome.TIMEOUT),),
        "servers": (ModelServer(node_name="n", namespace="x", pod="p", kind="vllm", outcome=Outcome.COLLECTED),),
        "events": (NodeEvent(uid="e", node_name="n", first_at=NOW, last_at=NOW),),
    },
    ClusterFacts: {
        "name": "other",
        "reports": {"pods": SectionReport(name="pods", outcome=Outcome.FORBIDDEN)},
        "known": ("x",),
        "operator": OperatorSnapshot(gpu_clusters_unknown="x"),
        "device_plugin": DevicePluginConfigs(default_key="x"),
        "device_classes": (DeviceClass(name="x"),),
        "taint_rules": (DeviceTaintRule(name="x", taint=Taint(key="x")),),
        "readiness_rules": (NodeReadinessRule(name="x", taint=Taint(key="x")),),
        "has_exporters": True,
        "only_gpu_nodes": True,
    },
    ClusterHistory: {
        **dict.fromkeys(("nodes", "declarations", "most_seen_elsewhere", "policies")),
        "default_policy": Policy(required_rung=9),
        "was_read": True,
        "xids": {1: XidPolicy(code=1, name="x", severity="info")},
        "has_pools": True,
        "silent_since": NOW,
        "last_reached_at": NOW,
        "rungs_proved": frozenset({"x"}),
        "samples_recent_for": timedelta(1),
        "boot_grace": timedelta(1),
        "flap_changes": 9,
    },
    ClusterStack: {"components": frozenset({"x"}), "gfd_labels": True, "telemetry": True},
}
"""A value of each field, other than in `_bare`; None: it follows from others, or is an input of its own."""


def _bare(*changed: msgspec.Struct) -> NodeSubject:
    """A subject without anything, but for these parts."""
    by_type = {type(part): part for part in changed}
    snapshot = ClusterSnapshot(name="east", taken_at=NOW)
    return NodeSubject(
        node=make_node(),
        devices=NOT_INSPECTED,
        history=by_type.get(NodeHistory, NodeHistory()),
        policy=by_type.get(Policy, Policy()),
        clock=RunClock(NOW),
        cluster=ClusterContext(
            snapshot=snapshot,
            facts=by_type.get(ClusterFacts, facts_of(snapshot)),
            history=by_type.get(ClusterHistory, ClusterHistory()),
            stack=by_type.get(ClusterStack, ClusterStack()),
            reports={NODE: by_type.get(NodeReports, NodeReports())},
        ),
    )


def test_every_input_is_in_the_digest() -> None:
    (bare,) = digests([_bare()])
    for struct, values in OTHER_INPUTS.items():
        assert set(values) == set(struct.__struct_fields__), f"{struct.__name__} has a field that this test does not know"
        for field, value in values.items():
            if value is None:
                continue
            subject = _bare()
            whole = {NodeSubject: subject, ClusterFacts: subject.cluster.facts}.get(struct)
            part = msgspec.structs.replace(whole or struct(), **{field: value})
            subject = part if isinstance(part, NodeSubject) else _bare(part)
            assert digests([subject]) != [bare], f"{struct.__name__}.{field}"


@pytest.mark.parametrize("part", [NodeHistory(machine_type="x"), Policy(pool="x")])
def test_history_and_policy_of_a_node_are_in_its_digest(part: msgspec.Struct) -> None:
    assert digests([_bare(part)]) != digests([_bare()])


@pytest.mark.parametrize(
    "changed",
    [
        {"slices": ResourceSlices(devices=(make_dra_device(),))},
        {"allocations": (DraAllocation(driver="d", pool="p", device="x", namespace="n", claim="c"),)},
    ],
)
def test_devices_of_dra_anywhere_are_in_the_digest(changed: dict[str, object]) -> None:
    subject = _bare()
    snapshot = msgspec.structs.replace(subject.cluster.snapshot, **changed)
    cluster = msgspec.structs.replace(subject.cluster, snapshot=snapshot)
    assert digests([msgspec.structs.replace(subject, cluster=cluster)]) != digests([subject])


def test_a_node_with_a_number_that_has_no_digest_is_evaluated_in_every_run() -> None:
    """A tenant may write such a request: it must not end the evaluation of the node or the cluster."""
    huge = msgspec.structs.replace(make_pod(), scheduling=PodScheduling(requests={"cpu": 10**40}))
    subject = _bare(NodeReports(pods=(huge,)))
    assert digests([subject]) != digests([subject])


def test_rules_of_a_node_reach_no_input_beside_the_digest() -> None:
    """Of the cluster a node's rule reads the facts, the stack, and settings: other nodes and the time are not in the digest."""
    folder = Path(fleet.domain.__file__).parent
    allowed = re.compile(
        r"\.cluster\.(stack\.|history\.(boot_grace|flap_changes|has_pools|last_reached_at|rungs_proved"
        r"|samples_recent_for|silent_since|was_read|xids)\b)"
    )
    of_clusters = ("CLUSTER_RULES", "ClusterRule(")
    rows = [
        f"{path.relative_to(folder)}: {line.strip()}"
        for room in ("health", "lint", "readiness")
        for path in sorted((folder / room).rglob("*.py"))
        if not any(word in path.read_text(encoding="utf-8") for word in of_clusters)
        for line in path.read_text(encoding="utf-8").splitlines()
        if ".cluster." in line and len(allowed.findall(line)) != line.count(".cluster.")
    ]
    assert not rows
