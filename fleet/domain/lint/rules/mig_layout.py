"""A MIG layout that could not be applied, that the strategy cannot express, or that nobody uses."""

from __future__ import annotations

from fleet.domain import labels
from fleet.domain.findings import RuleResult
from fleet.domain.lint.answers import answer, from_remarks, labels_of, not_applicable, unknown
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "mig_layout"
_REMEDIES = {
    "mig_config_failed": "Read why the MIG manager could not apply it: most often pods still used the cards.\n"
    "Drain the node of GPU pods, then set the label nvidia.com/mig.config again.",
    "mig_invalid": "Under the single strategy all cards must be cut alike: choose one layout for the node "
    "(label nvidia.com/mig.config), or the mixed strategy.",
    "mig_mode_not_used": "Cut the cards (label nvidia.com/mig.config), or switch MIG mode off with the layout all-disabled.",
}


def check(subject: NodeSubject) -> RuleResult:
    told, node = labels_of(subject), subject.node
    findings = from_remarks(subject, ID, _REMEDIES, rung="resources_advertised")
    if findings:
        return answer(ID, findings)
    if not told.found:
        return unknown(ID, "GPU feature discovery says nothing about MIG on this node.")
    if told.mig_capable is False and not node.labels.get(labels.MIG_CONFIG):
        return not_applicable(ID, "These cards cannot be cut by MIG.")
    return answer(ID, ())


RULE = Rule(id=ID, title="MIG layout is not what was asked for", needs=("nodes", "resource_slices"), check=check)
