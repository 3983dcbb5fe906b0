"""The exporter names other cards than the node's labels do: another product, or several.

Names are compared through the catalogue: GFD and DCGM write them differently (dashes for blanks, suffixes for sharing, MIG).
"""

from __future__ import annotations

from datetime import timedelta

from fleet.domain import labels
from fleet.domain.catalog.gpus import find
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.answers import answer, from_remarks, labels_of, not_enabled, unknown
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "models_disagree"
FRESH = timedelta(minutes=10)
_FEWER = {
    "telemetry_sees_fewer": "See which cards the driver finds: `nvidia-smi -L` on the node, and `lspci -d 10de:` for the "
    "others.\nIf DCGM is right, restart GPU feature discovery; if the labels are, restart the exporter."
}


def check(subject: NodeSubject) -> RuleResult:
    told = labels_of(subject)
    if not subject.samples:
        return not_enabled(ID, "No exporter names this node's cards.")
    fewer = from_remarks(subject, ID, _FEWER, rung="labels_accurate")
    if fewer:
        return answer(ID, fewer)
    models = sorted({sample.model for sample in subject.samples if sample.model and subject.measured_until - sample.at <= FRESH})
    if not told.product or not models:
        return unknown(ID, "Labels or exporter do not name the cards now.")
    strangers = [model for model in models if not _same(model, told.product)]
    if not strangers:
        return answer(ID, ())
    finding = Finding(
        rule=ID,
        severity=Severity.WARNING,
        text=f"The labels say {told.product}, the exporter also finds {', '.join(strangers)}."
        if len(strangers) < len(models)
        else f"The labels say {told.product}, the exporter finds {', '.join(strangers)}.",
        evidence=(
            Evidence("label", labels.GPU_PRODUCT, subject.node.labels.get(labels.GPU_PRODUCT, "")),
            *(Evidence("DCGM", "modelName", model) for model in models),
        ),
        remedy="Restart GPU feature discovery on the node, so that it looks again.\n"
        "If the cards are really of different products, workloads that choose by product may land on the wrong one.",
        rung="labels_accurate",
    )
    return answer(ID, [finding])


def _same(model: str, product: str) -> bool:
    by_catalogue = find(model), find(product)
    if None not in by_catalogue:
        return by_catalogue[0] is by_catalogue[1]
    return _plain(model) == _plain(product)


def _plain(name: str) -> str:
    return name.upper().replace(" ", "-").removeprefix("NVIDIA-")


RULE = Rule(id=ID, title="Exporter and labels name different cards", needs=("nodes",), check=check)
