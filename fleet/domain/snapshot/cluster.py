"""One cluster at one moment: everything that was collected, with a report for each section."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime

import msgspec

from fleet.domain.snapshot.dra import DeviceClass, DeviceTaintRule, DraAllocation, DraClaim, ResourceSlices
from fleet.domain.snapshot.nodes import NodeEvent, NodeSnapshot
from fleet.domain.snapshot.operator import DevicePluginConfigs, OperatorSnapshot
from fleet.domain.snapshot.pods import PodSnapshot
from fleet.domain.snapshot.queues import QueueObjects
from fleet.domain.snapshot.readiness_rules import NodeReadinessRule
from fleet.domain.snapshot.scheduling import SchedulingObjects
from fleet.domain.snapshot.sections import ObjectProblem, Outcome, SectionReport
from fleet.domain.snapshot.telemetry import Telemetry

_READ = frozenset({Outcome.COLLECTED, Outcome.ABSENT, Outcome.INCOMPLETE})


class MissingPermission(msgspec.Struct, frozen=True, kw_only=True):
    """Something the service account may not do, what that hides, and the RBAC rule that would allow it."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    hides: str = ""


class Permissions(msgspec.Struct, frozen=True, kw_only=True):
    missing: tuple[MissingPermission, ...] = ()
    writes: tuple[str, ...] = ()
    """Writing verbs the account holds although Muster needs none: `create pods`. Self-reviews do not count."""
    reviewed: tuple[str, ...] = ()
    """Namespaces whose rules were reviewed beside the cluster-wide ones: elsewhere the account may have more."""
    incomplete: bool = False
    """The API server reports that its answer may lack rules (webhook authorisers)."""


class ClusterSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One collection run of one cluster. A section that could not be read is empty here and explained in `sections`."""

    name: str
    uid: str = ""
    """UID of the namespace kube-system, which stands for the cluster's own; empty where it was not read."""
    taken_at: datetime
    clock_ahead_s: float | None = None
    """Seconds by which the API server's clock is ahead of Muster's; None where it sent no time."""
    server_version: str = ""
    platform: str = ""
    """Where the cluster runs, from its nodes: EKS, GKE, AKS …; empty where unknown."""
    node_count: int | None = None
    """Nodes of every kind; None when the list is incomplete."""
    nodes: tuple[NodeSnapshot, ...] = ()
    """GPU nodes only (Muster's own choice, see domain/devices.gpu_evidence), and those already known as such."""
    pods: tuple[PodSnapshot, ...] = ()
    operator: OperatorSnapshot = OperatorSnapshot()
    device_plugin: DevicePluginConfigs = DevicePluginConfigs()
    slices: ResourceSlices = ResourceSlices()
    allocations: tuple[DraAllocation, ...] = ()
    claims: tuple[DraClaim, ...] = ()
    device_classes: tuple[DeviceClass, ...] = ()
    taint_rules: tuple[DeviceTaintRule, ...] = ()
    readiness_rules: tuple[NodeReadinessRule, ...] = ()
    scheduling: SchedulingObjects = SchedulingObjects()
    queues: QueueObjects = QueueObjects()
    permissions: Permissions = Permissions()
    events: tuple[NodeEvent, ...] = ()
    """Of GPU nodes, and only those that matter (domain/health/events.py); the API server forgets them within hours."""
    telemetry: Telemetry = Telemetry()
    problems: tuple[ObjectProblem, ...] = ()
    """Objects that were left out or shortened because Kubernetes would not have accepted them."""
    sections: dict[str, SectionReport] = {}
    remembered: tuple[str, ...] = ()
    """Sections that are incomplete or were not requested, filled up with last known data (services/last_known.py)."""

    def section(self, name: str) -> SectionReport:
        """Returns the report of a section; one that never ran answers as skipped."""
        return self.sections.get(name) or SectionReport(name=name, outcome=Outcome.SKIPPED, reason="It was not read.")

    @property
    def is_reached(self) -> bool:
        """Returns whether the API server answered the last full run. A scrape carries that run's reports."""
        reports = [report for name, report in self.sections.items() if name not in ("telemetry", "model_servers")]
        return not reports or any(report.outcome in _READ for report in reports)

    def is_fresh(self, name: str) -> bool:
        """Returns whether this run read the section completely: what is not in it no longer exists in the cluster."""
        return self.section(name).complete and name not in self.remembered

    def knows(self, name: str) -> bool:
        """Returns whether this section can be evaluated: read completely, or filled with last known data. Else it is unknown."""
        return self.section(name).complete or name in self.remembered


MOST_MISSING = 0.1
"""Share of the known GPU nodes that one answer may lack: an API server that starts has answered 200 with an empty list."""


def shrinkage(snapshot: ClusterSnapshot, known_nodes: Collection[str], known_pods: int) -> str:
    """Returns what shrank, in a sentence; empty where the lists are as long as before or were not read completely."""
    if snapshot.is_fresh("nodes") and known_nodes:
        missing = set(known_nodes) - {node.name for node in snapshot.nodes}
        if len(missing) > MOST_MISSING * len(known_nodes):
            return f"The list of nodes lacks {len(missing)} of {len(known_nodes)} known GPU nodes."
    if snapshot.is_fresh("pods") and known_pods and not snapshot.pods:
        return f"The list of pods is empty, where {known_pods} were known."
    return ""


@contextmanager
def no_cycles() -> Iterator[None]:
    """Pauses the collector of cycles while a block or, as a decorator, a function builds many objects.

    Wires, snapshots and evaluations are trees, so it finds nothing in them. At 1,000 nodes it took a tenth of a
    collection and a sixth of an evaluation. The thread that paused it resumes it.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
