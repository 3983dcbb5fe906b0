"""A driver upgrade that the GPU Operator requires and has not started for days."""

from __future__ import annotations

from fleet.domain.catalog import thresholds
from fleet.domain.evaluation.node_upgrade import upgrade_of
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Finding, RuleResult, Severity, Status
from fleet.domain.health.node_measurements import answer

ID = "upgrade_pending"


def check(subject: NodeSubject) -> RuleResult:
    """Returns a finding after a week of upgrade-required, the state before an upgrade: the node itself is well."""
    upgrade = upgrade_of(subject)
    if not upgrade.phase:
        return RuleResult(rule=ID, status=Status.NOT_APPLICABLE, reason="The GPU Operator does not upgrade this node's driver.")
    if upgrade.phase != "required":
        return answer(subject, ID, [])
    seconds = thresholds.load().out_of_service.upgrade_pending_s
    finding = Finding(
        rule=ID,
        severity=Severity.WARNING,
        text=f"A driver upgrade has been pending for more than {seconds // 86400} days.",
        evidence=upgrade.evidence,
        remedy="Check driver.upgradePolicy of the ClusterPolicy (autoUpgrade, maxParallelUpgrades, maxUnavailable): "
        "kubectl get clusterpolicy -o yaml",
        sustain_s=seconds,
    )
    return answer(subject, ID, [finding])


RULE = Rule(id=ID, title="Driver upgrade pending", severity=Severity.WARNING, needs=("nodes",), check=check)
