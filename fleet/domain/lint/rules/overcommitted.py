"""Pods hold more slots than the node offers: slots went away under them."""

from __future__ import annotations

from fleet.domain.findings import RuleResult
from fleet.domain.lint.answers import answer, from_remarks, unknown
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "overcommitted"
_REMEDIES = {
    "requested_exceeds_allocatable": "Some pods hold slots that are gone: delete those that fail, so that they start anew where "
    "there is room.\nIf a card went away, see the finding about it first."
}


def check(subject: NodeSubject) -> RuleResult:
    findings = from_remarks(subject, ID, _REMEDIES, rung="resources_advertised")
    if not findings and subject.devices.slots.free is None:
        return unknown(ID, "Requested or allocatable slots are not known.")
    return answer(ID, findings)


RULE = Rule(id=ID, title="More slots requested than allocatable", needs=("nodes", "pods", "resource_slices"), check=check)
