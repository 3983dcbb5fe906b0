"""The operator's driver upgrade of a node has failed, and stands there until somebody looks."""

from __future__ import annotations

from fleet.domain import labels
from fleet.domain.findings import RuleResult
from fleet.domain.lint.answers import answer, from_remarks, not_applicable
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "driver_upgrade_failed"
_REMEDIES = {
    ID: "Read what the driver pod of the node says; this names it: `kubectl get pods -A -o wide "
    "-l app.kubernetes.io/component=nvidia-driver --field-selector spec.nodeName={node}`\n"
    "When the cause is gone, set the label nvidia.com/gpu-driver-upgrade-state to upgrade-required: the operator tries again."
}


def check(subject: NodeSubject) -> RuleResult:
    if not subject.node.labels.get(labels.DRIVER_UPGRADE_STATE):
        return not_applicable(ID, "No operator manages this node's driver upgrades.")
    return answer(ID, from_remarks(subject, ID, _REMEDIES, rung="driver_loaded"))


RULE = Rule(id=ID, title="Driver upgrade failed", needs=("nodes",), check=check)
