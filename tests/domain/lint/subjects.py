"""Node subjects for lint tests: everything was read, and the node is one of the builders'; a test writes its one fact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fleet.domain.devices.inspection import NodeInputs, inspect
from fleet.domain.evaluation.rules import ClusterRule, Rule, run, run_cluster
from fleet.domain.evaluation.subject import ClusterHistory, NodeHistory, NodeReports, NodeSubject, Policy
from fleet.domain.findings import RuleResult
from fleet.domain.snapshot import (
    ClusterSnapshot,
    DevicePluginConfigs,
    DraAllocation,
    DraDevice,
    NodeSnapshot,
    PodSnapshot,
    ResourceSlices,
)
from fleet.domain.snapshot.sections import Outcome, SectionReport
from fleet.domain.snapshot.telemetry import DeviceSample, ExporterReport, PodRef, Telemetry
from tests.builders import NODE, make_node
from tests.domain.subjects import make_subject

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECTIONS = ("version", "permissions", "operator", "resource_slices", "resource_claims", "nodes", "pods", "device_plugin_config",
            "telemetry", "events")  # fmt: skip


def subject_of(
    node: NodeSnapshot | None = None,
    *,
    pods: Sequence[PodSnapshot] = (),
    plugin: DevicePluginConfigs | None = None,
    dra: Sequence[DraDevice] = (),
    allocations: Sequence[DraAllocation] = (),
    samples: Sequence[DeviceSample] = (),
    exporters: Sequence[ExporterReport] = (),
    history: NodeHistory | None = None,
    cluster: ClusterHistory | None = None,
    policy: Policy | None = None,
    node_count: int | None = 100,
    unread: Sequence[str] = (),
) -> NodeSubject:
    """One node as judgement.judge would hand it to the rules. `unread` names sections that were refused."""
    node = node or make_node()
    history, plugin = history or NodeHistory(), plugin or DevicePluginConfigs()
    fields = {name: Outcome.FORBIDDEN if name in unread else Outcome.COLLECTED for name in SECTIONS}
    known = {name: outcome is Outcome.COLLECTED for name, outcome in fields.items()}
    telemetry = Telemetry(samples=tuple(samples), exporters=tuple(exporters))
    snapshot = ClusterSnapshot(
        name="east",
        taken_at=NOW,
        node_count=node_count,
        nodes=(node,),
        pods=tuple(pods) if known["pods"] else (),
        device_plugin=plugin if known["device_plugin_config"] else DevicePluginConfigs(),
        slices=ResourceSlices(devices=tuple(dra)) if known["resource_slices"] else ResourceSlices(),
        allocations=tuple(allocations) if known["resource_claims"] else (),
        telemetry=telemetry if known["telemetry"] else Telemetry(),
        sections={
            name: SectionReport(name=name, outcome=value, reason="Refused." * (not known[name])) for name, value in fields.items()
        },
    )
    return make_subject(
        snapshot,
        NodeReports(
            pods=snapshot.pods,
            dra_devices=snapshot.slices.devices,
            allocations=snapshot.allocations,
            samples=snapshot.telemetry.samples,
            exporters=snapshot.telemetry.exporters,
        ),
        node=node,
        devices=inspect(
            NodeInputs(
                node=node,
                pods=snapshot.pods if known["pods"] else None,
                plugin=snapshot.device_plugin if known["device_plugin_config"] else None,
                devices=snapshot.slices.devices if known["resource_slices"] else None,
                allocations=snapshot.allocations if known["resource_claims"] else None,
                previous=history.previous,
            )
        ),
        history=history,
        cluster=cluster,
        policy=policy or Policy(),
    )


def ask(rule: Rule, subject: NodeSubject | None = None, **given: Any) -> RuleResult:
    """What the rule says, as it is run: a section that it needs and that was not read makes it unknown."""
    return run([rule], subject or subject_of(**given))[0]


def ask_all(rule: ClusterRule, *subjects: NodeSubject) -> RuleResult:
    return run_cluster([rule], subjects)[0]


def sample(index: int = 0, *, pod: str = "", age_s: float = 20, **fields: Any) -> DeviceSample:
    """Returns GPU `index` as an exporter of the node reports it; `pod` is namespace/name of the one it names."""
    namespace, _, name = pod.partition("/")
    values: dict[str, Any] = {
        "node_name": NODE,
        "uuid": f"GPU-{index:04}",
        "index": index,
        "model": "NVIDIA H100 80GB HBM3",
        "at": NOW - timedelta(seconds=age_s),
        "pods": (PodRef(namespace, name),) if pod else (),
        "values": {"gpu_util": 0.0, "fb_used": 4.0},
    }
    return DeviceSample(**(values | fields))


def exporter(*metrics: str, outcome: Outcome = Outcome.COLLECTED, node: str = NODE) -> ExporterReport:
    return ExporterReport(node_name=node, namespace="gpu-operator", pod=f"dcgm-{node}", source="pod-proxy", outcome=outcome,
                          at=NOW, metrics=metrics)  # fmt: skip


def keys(result: RuleResult) -> list[str]:
    return [finding.key for finding in result.findings]


def without_labels(node: NodeSnapshot, prefix: str) -> Mapping[str, str]:
    return {key: value for key, value in node.labels.items() if not key.startswith(prefix)}
