"""Labels that contradict each other, the resources or the DRA driver, or that are not numbers where one is expected."""

from __future__ import annotations

from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import RuleResult, Severity
from fleet.domain.lint.results import answer, from_inspection, labels_of, unknown

ID = "labels_disagree"
_GFD = "Restart GPU feature discovery on the node: it writes its labels once, when it starts."
_REMEDIES = {
    "labels_disagree_with_resources": f"{_GFD}\nIf the resource is stale, restart the device plugin, then the kubelet.",
    "slices_disagree_with_labels": f"{_GFD}\nIf the ResourceSlices are stale, restart the DRA driver's kubelet plugin.",
    "more_than_ordered": "Check the actual machine type of the node; a label set manually or by an image remains after a change.",
    "unreadable_value": "Find out who writes this value: neither GPU feature discovery nor a device plugin writes it.",
}


def check(subject: NodeSubject) -> RuleResult:
    findings = from_inspection(subject, ID, _REMEDIES, rung="labels_accurate")
    if not findings and not labels_of(subject).is_present:
        return unknown(ID, "GPU feature discovery has written no labels to compare.")
    return answer(ID, findings)


RULE = Rule(
    id=ID, title="Labels contradict other sources", severity=Severity.WARNING, needs=("nodes", "resource_slices"), check=check
)
