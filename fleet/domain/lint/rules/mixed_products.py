"""More than one GPU product in one node: labels describe one of them only, and may flap between them."""

from __future__ import annotations

from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.answers import answer, counted_one_by_one, from_remarks, unknown
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "mixed_products"
_REMEDY = (
    "Labels can name one product only, so workloads that choose by product may land on the other.\n"
    "Put cards of one product into a node, or offer them by DRA, which tells them apart."
)
_REMEDIES = {
    ID: "See which cards the node has: `nvidia-smi -L`.\n" + _REMEDY,
}


def check(subject: NodeSubject) -> RuleResult:
    devices = subject.devices
    if len(devices.products) > 1:
        finding = Finding(
            rule=ID,
            severity=Severity.WARNING,
            text=f"Cards of different products in one node: {', '.join(sorted(devices.products))}.",
            evidence=tuple(Evidence("resource_slice", "productName", product) for product in sorted(devices.products)),
            remedy=_REMEDY,
            rung="labels_accurate",
        )
        return answer(ID, [finding])
    findings = from_remarks(subject, ID, _REMEDIES, rung="labels_accurate")
    if findings:
        return answer(ID, findings)
    explained = [slots.predicted for slots in devices.resources if slots.capacity]
    if not devices.products or not counted_one_by_one(subject) or not explained or None in explained:
        return unknown(ID, "Nothing tells the product of every card.")
    return answer(ID, ())


RULE = Rule(
    id=ID, title="Different products in one node", needs=("nodes", "resource_slices", "device_plugin_config"), check=check
)
