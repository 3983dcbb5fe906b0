"""The kubelet does not report ready: everything else the node says is its last word."""

from __future__ import annotations

from fleet.domain.findings import RuleResult
from fleet.domain.lint.answers import answer, from_remarks, unknown
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "kubelet_not_ready"
_REMEDIES = {
    "kubelet_not_ready": "See what the kubelet last said: `kubectl describe node {node}`\n"
    "If it says nothing, look at the machine: is it up, and does it reach the API server?"
}


def check(subject: NodeSubject) -> RuleResult:
    if not any(condition.type == "Ready" for condition in subject.node.conditions):
        return unknown(ID, "The node carries no Ready condition.")
    return answer(ID, from_remarks(subject, ID, _REMEDIES, rung="kubelet_ready"))


RULE = Rule(id=ID, title="Kubelet not ready", needs=("nodes",), check=check)
