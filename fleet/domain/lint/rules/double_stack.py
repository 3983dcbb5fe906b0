"""The device plugin and a DRA driver offer the same cards: two schedulers' books, one card."""

from __future__ import annotations

from fleet.domain.findings import RuleResult
from fleet.domain.gpu_nodes import is_gpu_device
from fleet.domain.lint.answers import answer, from_remarks, not_applicable
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "double_stack"
_REMEDIES = {
    ID: "Let one of them go: keep the device plugin off this node (label nvidia.com/gpu.deploy.device-plugin=false, or the "
    "chart's node selector), or the DRA driver.\nUntil then a card may be given to two workloads."
}


def check(subject: NodeSubject) -> RuleResult:
    findings = from_remarks(subject, ID, _REMEDIES, rung="resources_advertised")
    if not findings and not any(is_gpu_device(device) for device in subject.dra_devices):
        return not_applicable(ID, "No DRA driver offers this node's cards.")
    return answer(ID, findings)


RULE = Rule(id=ID, title="Device plugin and DRA at once", needs=("nodes", "resource_slices"), check=check)
