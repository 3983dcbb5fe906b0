"""The device plugin and a DRA driver advertise the same GPUs: one GPU may be allocated twice."""

from __future__ import annotations

from fleet.domain.devices.detection import is_gpu_device
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import RuleResult, Severity
from fleet.domain.lint.results import answer, from_inspection, not_applicable

ID = "double_stack"
_REMEDIES = {
    "device_plugin_and_dra": "Keep one of them off this node: the DRA driver, or the device plugin (with the label "
    "nvidia.com/gpu.deploy.device-plugin=false, or the chart's node selector).\n"
    "Until then one GPU may be allocated to two workloads."
}


def check(subject: NodeSubject) -> RuleResult:
    findings = from_inspection(subject, ID, _REMEDIES, rung="resources_advertised")
    if not findings and not any(is_gpu_device(device) for device in subject.dra_devices):
        return not_applicable(ID, "No DRA driver publishes this node's GPUs.")
    return answer(ID, findings)


RULE = Rule(
    id=ID, title="Device plugin and DRA at once", severity=Severity.WARNING, needs=("nodes", "resource_slices"), check=check
)
