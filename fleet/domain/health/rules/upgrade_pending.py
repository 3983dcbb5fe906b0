"""A driver upgrade that the GPU Operator requires and has not started for days."""

from __future__ import annotations

from fleet.domain import labels
from fleet.domain.catalog import thresholds
from fleet.domain.evaluation.node_upgrade import driver_managed, upgrade_required
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.health.node_measurements import answer

ID = "upgrade_pending"


def check(subject: NodeSubject) -> RuleResult:
    """Returns a finding after a week of upgrade-required, the state before an upgrade: the node itself is well."""
    state = subject.node.labels.get(labels.DRIVER_UPGRADE_STATE, "")
    if not state or driver_managed(subject) is False:
        return RuleResult(rule=ID, status=Status.NOT_APPLICABLE, reason="The GPU Operator does not upgrade this node's driver.")
    if not upgrade_required(subject):
        return answer(subject, ID, [])
    seconds = thresholds.load().out_of_service.upgrade_pending_s
    finding = Finding(
        rule=ID,
        severity=Severity.WARNING,
        text=f"A driver upgrade has been pending for more than {seconds // 86400} days.",
        evidence=(Evidence("label", labels.DRIVER_UPGRADE_STATE, state),),
        remedy="Check driver.upgradePolicy of the ClusterPolicy (autoUpgrade, maxParallelUpgrades, maxUnavailable): "
        "kubectl get clusterpolicy -o yaml",
        sustain_s=seconds,
    )
    return answer(subject, ID, [finding])


RULE = Rule(id=ID, title="Driver upgrade pending", severity=Severity.WARNING, needs=("nodes",), check=check)
