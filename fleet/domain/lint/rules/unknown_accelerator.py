"""No label names the node's accelerator, or the catalogue does not contain it."""

from __future__ import annotations

from fleet.domain.catalog.gpus import find
from fleet.domain.devices.detection import gpu_evidence
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.results import answer, waiting

ID = "unknown_accelerator"


def check(subject: NodeSubject) -> RuleResult:
    devices, node = subject.devices, subject.node
    if any(finding.rule == "labels_missing" for finding in devices.findings):
        return waiting(ID, "GPU feature discovery's labels are temporarily missing.")
    if not devices.product:
        seen = gpu_evidence(node, subject.dra_devices) or (Evidence("node", "name", node.name),)
        finding = Finding(
            rule=ID,
            severity=Severity.WARNING,
            text="No label names this node's accelerator: workloads that select by product cannot be scheduled here.",
            evidence=seen[:3],
            remedy="Run GPU feature discovery (or the vendor's node labeller) on the node; where it runs, compare its node "
            "selector and tolerations with the node's labels and taints.",
            rung="labels_accurate",
        )
        return answer(ID, [finding])
    if devices.vendor in ("nvidia", "amd") and all(find(product) is None for product in devices.products or (devices.product,)):
        finding = Finding(
            rule=ID,
            severity=Severity.INFO,
            text=f"{devices.product} is not in Muster's catalogue: its memory and MIG layouts come from labels.",
            evidence=(Evidence("label", "product", devices.product),),
            remedy="Add a block for it to fleet/domain/catalog/gpus.toml, with its source.",
        )
        return answer(ID, [finding])
    return answer(ID, ())


RULE = Rule(
    id=ID,
    title="Accelerator not identified by labels",
    severity=Severity.WARNING,
    needs=("nodes", "resource_slices"),
    check=check,
)
