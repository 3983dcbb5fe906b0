"""More than one GPU product in one node: labels describe one of them only, and may flap between them."""

from __future__ import annotations

from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.results import answer, counted_one_by_one, from_inspection, unknown

ID = "mixed_products"
_REMEDY = (
    "Labels can name one product only, so workloads that select by product may be scheduled to the other.\n"
    "Use GPUs of one product in a node, or publish them by DRA, which distinguishes them."
)
_REMEDIES = {
    "unexplained_slots": "List the node's GPUs: `nvidia-smi -L`.\n" + _REMEDY,
}


def check(subject: NodeSubject) -> RuleResult:
    devices = subject.devices
    if len(devices.products) > 1:
        finding = Finding(
            rule=ID,
            severity=Severity.WARNING,
            text=f"GPUs of different products in one node: {', '.join(sorted(devices.products))}.",
            evidence=tuple(Evidence("resource_slice", "productName", product) for product in sorted(devices.products)),
            remedy=_REMEDY,
            rung="labels_accurate",
        )
        return answer(ID, [finding])
    findings = from_inspection(subject, ID, _REMEDIES, rung="labels_accurate")
    if findings:
        return answer(ID, findings)
    explained = [slots.predicted for slots in devices.resources if slots.capacity]
    if not devices.products or not counted_one_by_one(subject) or not explained or None in explained:
        return unknown(ID, "The product of some GPUs is unknown.")
    return answer(ID, ())


RULE = Rule(
    id=ID,
    title="Different products in one node",
    severity=Severity.WARNING,
    needs=("nodes", "resource_slices", "device_plugin_config"),
    check=check,
)
