"""Which finding is the cause among several, and what findings of several nodes have in common."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from fleet.domain.findings import Severity
from fleet.domain.readiness.wording import rung_number

GATHERED = frozenset(
    {
        "counters_not_enabled",
        "double_stack",
        "driver_skew",
        "gpu_stack_impostor",
        "in_no_pool",
        "in_rival_pools",
        "objects_left_out",
        "pods_without_gpu",
        "stale_resources",
        "two_exporters",
        "untainted",
        "upgrade_pending",
    }
)
"""Rules about how a cluster is set up: their findings are one incident per cluster, and neither cause nor symptom of a fault."""

EFFECTS = frozenset(
    {
        "config_disagrees_with_labels",
        "device_taints",
        "expected_not_met",
        "labels_disagree",
        "models_disagree",
        "monitors",
        "monitors_disagree",
        "out_of_service",
        "overcommitted",
        "pods_refused",
        "slots_mismatch",
        "stuck_out_of_service",
    }
)
"""Rules that report what follows from a fault, or repeat another tool's report: at equal severity the fault is the cause."""

DRIVER_RULES = frozenset({"driver_upgrade_failed"})
EXPORTER_RULES = frozenset({"exporter_stale"})
KUBELET_RULES = frozenset({"kubelet_not_ready"})
CRASH_RULES = frozenset({"xid", "xid_incident"})

TOGETHER = timedelta(minutes=10)
"""Kubelets of one zone that stop within this time of each other have one cause."""

Signature = tuple[str, ...]
"""What causes of one incident have in common."""


class IncidentFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A finding as far as grouping needs it."""

    id: int
    cluster: int | None
    """None for a finding about a pool or class."""
    node: int | None
    """None for a finding about a whole cluster, a pool or a class."""
    rule: str
    key: str = ""
    severity: str = Severity.WARNING.value
    rung: str = ""
    opened: datetime
    is_open: bool = True
    shared: str = ""
    """What its cause may have in common with other nodes: driver version, exporter image, zone or crash; empty for none."""
    incident: int | None = None
    """The incident it was in when it was last grouped."""


def severity_rank(severity: str) -> int:
    """Returns 3 for fatal down to 0 for info; −1 for a severity that does not exist."""
    return Severity(severity).rank if severity in set(Severity) else -1


def cause_order(severity: str, rung: str, rule: str) -> tuple[int, bool, int]:
    """Returns the sorting key that puts a cause before its symptoms: most severe, fault before effect, lowest rung first."""
    return (-severity_rank(severity), rule in EFFECTS, rung_number(rung))


def order_of(finding: IncidentFinding) -> tuple[tuple[int, bool, int], datetime, int]:
    """Returns the key by which the cause of a node is the smallest: `cause_order`, then the oldest."""
    return (cause_order(finding.severity, finding.rung, finding.rule), finding.opened, finding.id)


def signature(finding: IncidentFinding) -> Signature:
    """Returns what identifies the cause. Findings with equal signatures that are open together are one incident."""
    cluster = str(finding.cluster or "")
    if finding.rule in GATHERED:
        return ("cluster", cluster, finding.rule)
    if finding.shared:
        family = "crash" if finding.rule in CRASH_RULES else finding.rule
        return ("shared", cluster, family, finding.shared)
    return ("one", cluster, str(finding.node or ""), finding.rule, finding.key)
