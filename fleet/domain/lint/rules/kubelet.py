"""The kubelet does not report ready: all other data of the node is last known."""

from __future__ import annotations

from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import RuleResult, Severity
from fleet.domain.lint.results import answer, from_inspection, unknown

ID = "kubelet_not_ready"
_REMEDIES = {
    "kubelet_down": "Read the kubelet's last report: `kubectl describe node {node}`\n"
    "If it does not explain the cause, check that the machine is up and reaches the API server."
}


def check(subject: NodeSubject) -> RuleResult:
    if not any(condition.type == "Ready" for condition in subject.node.conditions):
        return unknown(ID, "The node has no Ready condition.")
    return answer(ID, from_inspection(subject, ID, _REMEDIES, rung="kubelet_ready"))


RULE = Rule(id=ID, title="Kubelet not ready", severity=Severity.CRITICAL, needs=("nodes",), check=check)
