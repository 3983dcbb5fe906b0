"""Resources that stayed behind from an earlier MIG layout or sharing mode, at 0 or, worse, with their old number."""

from __future__ import annotations

from fleet.domain import labels
from fleet.domain.findings import RuleResult
from fleet.domain.lint.answers import answer, from_remarks, labels_of, unknown
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "stale_resources"
_RESTART = "The kubelet forgets them when it restarts: `systemctl restart kubelet` on the node, once no GPU pod runs there."
_REMEDIES = {"stale_resource": _RESTART, "phantom_slots": _RESTART, "renamed_twice": _RESTART}


def check(subject: NodeSubject) -> RuleResult:
    findings = from_remarks(subject, ID, _REMEDIES)
    if findings:
        return answer(ID, findings)
    names = [name for name in {*subject.node.capacity, *subject.node.allocatable} if labels.is_gpu_resource(name)]
    plain = len(names) <= 1 and not any(labels.resource_kind(name).startswith("mig") for name in names)
    if not subject.node.capacity:
        return unknown(ID, "The node has not reported its resources.")
    if not plain and not labels_of(subject).found:
        return unknown(ID, "No label tells which of its resources belong to the present layout.")
    return answer(ID, ())


RULE = Rule(id=ID, title="Resources left over from an earlier layout", needs=("nodes", "resource_slices"), check=check)
