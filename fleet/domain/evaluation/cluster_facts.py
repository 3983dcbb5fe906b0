"""What the evaluation of one node may know of its cluster's snapshot, beside the reports about the node itself."""

from __future__ import annotations

import msgspec

from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.snapshot.dra import DeviceClass, DeviceTaintRule
from fleet.domain.snapshot.operator import DevicePluginConfigs, OperatorSnapshot
from fleet.domain.snapshot.readiness_rules import NodeReadinessRule
from fleet.domain.snapshot.sections import Outcome, SectionReport


class ClusterFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of a cluster that rungs and node rules read. Every field is an input of every node's evaluation.

    Other nodes, their pods and the time are not in it: what changes with every run would have every node evaluated in every run.
    """

    name: str
    reports: dict[str, SectionReport] = {}
    """How each section was read, without its duration and count."""
    known: tuple[str, ...] = ()
    """Sections that can be evaluated: read completely, or filled with last known data."""
    operator: OperatorSnapshot = OperatorSnapshot()
    device_plugin: DevicePluginConfigs = DevicePluginConfigs()
    device_classes: tuple[DeviceClass, ...] = ()
    taint_rules: tuple[DeviceTaintRule, ...] = ()
    readiness_rules: tuple[NodeReadinessRule, ...] = ()
    has_exporters: bool = False
    """Whether any node has the report of an exporter."""
    only_gpu_nodes: bool = False
    """Whether every node of the cluster has GPUs."""

    def section(self, name: str) -> SectionReport:
        """Returns the report of a section; one that never ran answers as skipped."""
        return self.reports.get(name) or SectionReport(name=name, outcome=Outcome.SKIPPED, reason="It was not read.")

    def knows(self, name: str) -> bool:
        """Returns whether this section can be evaluated; else it is unknown."""
        return name in self.known


def facts_of(snapshot: ClusterSnapshot) -> ClusterFacts:
    """Returns what the evaluation of a node may know of this snapshot."""
    return ClusterFacts(
        name=snapshot.name,
        reports={
            name: msgspec.structs.replace(report, took_ms=0, count=None) for name, report in sorted(snapshot.sections.items())
        },
        known=tuple(sorted(name for name in {*snapshot.sections, *snapshot.remembered} if snapshot.knows(name))),
        operator=snapshot.operator,
        device_plugin=snapshot.device_plugin,
        device_classes=snapshot.device_classes,
        taint_rules=snapshot.taint_rules,
        readiness_rules=snapshot.readiness_rules,
        has_exporters=bool(snapshot.telemetry.exporters),
        only_gpu_nodes=snapshot.node_count is not None and snapshot.node_count == len(snapshot.nodes),
    )
