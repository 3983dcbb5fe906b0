"""Pods use more slots than the node advertises: slots were removed while in use."""

from __future__ import annotations

from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import RuleResult, Severity
from fleet.domain.lint.results import answer, from_inspection, unknown

ID = "overcommitted"
_REMEDIES = {
    "requested_exceeds_allocatable": "Some pods hold slots that no longer exist: delete those that fail. They are rescheduled "
    "where there is room.\nIf a GPU is missing, resolve that finding first."
}


def check(subject: NodeSubject) -> RuleResult:
    findings = from_inspection(subject, ID, _REMEDIES, rung="resources_advertised")
    if not findings and subject.devices.slots.free is None:
        return unknown(ID, "Requested or allocatable slots are not known.")
    return answer(ID, findings)


RULE = Rule(
    id=ID,
    title="More slots requested than allocatable",
    severity=Severity.WARNING,
    needs=("nodes", "pods", "resource_slices"),
    check=check,
)
