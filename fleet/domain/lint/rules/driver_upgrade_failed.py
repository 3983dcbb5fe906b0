"""The GPU Operator's driver upgrade of a node has failed and does not continue by itself."""

from __future__ import annotations

from fleet.domain.evaluation.node_upgrade import upgrade_of
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import RuleResult, Severity
from fleet.domain.lint.results import answer, from_inspection, not_applicable

ID = "driver_upgrade_failed"
_REMEDIES = {
    "upgrade_failed": "Read the log of the node's driver pod, which this lists: `kubectl get pods -A -o wide "
    "-l app.kubernetes.io/component=nvidia-driver --field-selector spec.nodeName={node}`\n"
    "Once the cause is fixed, set the label nvidia.com/gpu-driver-upgrade-state to upgrade-required: the operator retries."
}


def check(subject: NodeSubject) -> RuleResult:
    if not upgrade_of(subject).phase:
        return not_applicable(ID, "No operator manages this node's driver upgrades.")
    return answer(ID, from_inspection(subject, ID, _REMEDIES, rung="driver_loaded"))


RULE = Rule(id=ID, title="Driver upgrade failed", severity=Severity.CRITICAL, needs=("nodes",), check=check)
