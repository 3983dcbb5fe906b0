"""Stale resources from an earlier MIG layout or sharing mode, at 0 or with their old number."""

from __future__ import annotations

from fleet.domain import labels
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import RuleResult, Severity
from fleet.domain.lint.results import answer, from_inspection, labels_of, unknown

ID = "stale_resources"
_RESTART = "The kubelet drops them when it restarts: `systemctl restart kubelet` on the node, once no GPU pod runs there."
_REMEDIES = {"stale_resource": _RESTART, "phantom_slots": _RESTART, "renamed_twice": _RESTART}


def check(subject: NodeSubject) -> RuleResult:
    findings = from_inspection(subject, ID, _REMEDIES)
    if findings:
        return answer(ID, findings)
    names = [name for name in {*subject.node.capacity, *subject.node.allocatable} if labels.is_gpu_resource(name)]
    plain = len(names) <= 1 and not any(labels.resource_kind(name).startswith("mig") for name in names)
    if not subject.node.capacity:
        return unknown(ID, "The node has not reported its resources.")
    if not plain and not labels_of(subject).is_present:
        return unknown(ID, "No label shows which of its resources belong to the current layout.")
    return answer(ID, ())


RULE = Rule(
    id=ID,
    title="Stale resources of an earlier layout",
    severity=Severity.WARNING,
    needs=("nodes", "resource_slices"),
    check=check,
)
