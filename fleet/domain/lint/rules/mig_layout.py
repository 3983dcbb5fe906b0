"""A MIG layout that could not be applied, that the strategy cannot express, or that is not used."""

from __future__ import annotations

from fleet.domain import labels
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import RuleResult, Severity
from fleet.domain.lint.results import answer, from_inspection, labels_of, not_applicable, unknown

ID = "mig_layout"
_REMEDIES = {
    "mig_config_failed": "Read the MIG manager's log: usually pods still used the GPUs.\n"
    "Drain the node of GPU pods, then set the label nvidia.com/mig.config again.",
    "mig_invalid": "With the single strategy all GPUs must have the same layout: choose one for the node "
    "(label nvidia.com/mig.config), or the mixed strategy.",
    "mig_mode_not_used": "Apply a MIG layout (label nvidia.com/mig.config), or disable MIG mode with the layout all-disabled.",
}


def check(subject: NodeSubject) -> RuleResult:
    details, node = labels_of(subject), subject.node
    findings = from_inspection(subject, ID, _REMEDIES, rung="resources_advertised")
    if findings:
        return answer(ID, findings)
    if not details.is_present:
        return unknown(ID, "GPU feature discovery has no MIG labels on this node.")
    if details.mig_capable is False and not node.labels.get(labels.MIG_CONFIG):
        return not_applicable(ID, "These GPUs do not support MIG.")
    return answer(ID, ())


RULE = Rule(
    id=ID,
    title="MIG layout is not as requested",
    severity=Severity.CRITICAL,
    needs=("nodes", "resource_slices"),
    check=check,
)
