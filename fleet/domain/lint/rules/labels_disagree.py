"""Labels that contradict each other, the resources or the DRA driver, or that hold no number where one belongs."""

from __future__ import annotations

from fleet.domain.findings import RuleResult
from fleet.domain.lint.answers import answer, from_remarks, labels_of, unknown
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "labels_disagree"
_GFD = "Restart GPU feature discovery on the node: it writes its labels once, when it starts."
_REMEDIES = {
    "labels_disagree_with_resources": f"{_GFD}\nIf the resource is the leftover, restart the device plugin, then the kubelet.",
    "slices_disagree_with_labels": f"{_GFD}\nIf the ResourceSlices are behind, restart the DRA driver's kubelet plugin.",
    "more_than_ordered": "See which machine type the node really is; a label set by hand or by an image outlives both.",
    "unreadable_value": "Find out who writes this value: it is none that GPU feature discovery or a device plugin would write.",
}


def check(subject: NodeSubject) -> RuleResult:
    findings = from_remarks(subject, ID, _REMEDIES, rung="labels_accurate")
    if not findings and not labels_of(subject).found:
        return unknown(ID, "GPU feature discovery has written no labels to compare.")
    return answer(ID, findings)


RULE = Rule(id=ID, title="Labels contradict what is there", needs=("nodes", "resource_slices"), check=check)
