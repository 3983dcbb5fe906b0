"""The exporter and the node's labels name different products, or the exporter names several.

Names are compared through the catalogue: GFD and DCGM write them differently (dashes for blanks, suffixes for sharing, MIG).
"""

from __future__ import annotations

from fleet.domain import labels
from fleet.domain.catalog.gpus import is_same_product
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.results import answer, from_inspection, labels_of, not_enabled, unknown

ID = "models_disagree"
_FEWER = {
    "telemetry_sees_fewer": "List the GPUs that the driver finds: `nvidia-smi -L` on the node, and `lspci -d 10de:` for the "
    "others.\nIf DCGM is right, restart GPU feature discovery; if the labels are, restart the exporter."
}


def check(subject: NodeSubject) -> RuleResult:
    result = labels_of(subject)
    if not subject.samples:
        return not_enabled(ID, "No exporter reports this node's GPUs.")
    fewer = from_inspection(subject, ID, _FEWER, rung="labels_accurate")
    if fewer:
        return answer(ID, fewer)
    models = sorted({sample.model for sample in subject.samples if sample.model and subject.is_recent(sample.at)})
    if not result.product or not models:
        return unknown(ID, "Labels or exporter have no GPU model now.")
    strangers = [model for model in models if not is_same_product(model, result.product)]
    if not strangers:
        return answer(ID, ())
    finding = Finding(
        rule=ID,
        severity=Severity.WARNING,
        text=f"The labels name {result.product}, the exporter also reports {', '.join(strangers)}."
        if len(strangers) < len(models)
        else f"The labels name {result.product}, the exporter reports {', '.join(strangers)}.",
        evidence=(
            Evidence("label", labels.GPU_PRODUCT, subject.node.labels.get(labels.GPU_PRODUCT, "")),
            *(Evidence("DCGM", "modelName", model) for model in models),
        ),
        remedy="Restart GPU feature discovery on the node, so that it detects them again.\n"
        "If the GPUs are of different products, workloads that select by product may run on the wrong one.",
        rung="labels_accurate",
    )
    return answer(ID, [finding])


RULE = Rule(id=ID, title="Exporter and labels disagree on the model", severity=Severity.WARNING, needs=("nodes",), check=check)
