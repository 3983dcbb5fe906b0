"""Health counters that no exporter of the cluster exports: what they would show is not known, which is not the same as well.

DCGM exporter's own CSV has most of them commented out. A card without NVLink or without HBM never has some of them, and an
exporter cannot be blamed for those.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fleet.domain.catalog.metrics import Metric, load
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.answers import answer, not_applicable, not_enabled, unknown
from fleet.domain.outcomes import Outcome
from fleet.domain.rules import ClusterRule
from fleet.domain.subject import NodeSubject

ID = "counters_not_enabled"
LASTS_S = 900
"""An exporter that has just started, or one beside a profiler, lacks series for a while."""
_NVLINK = re.compile(r"SXM|HBM3|NVL|H200|H20\b|B200|B300|GB\d|V100", re.ASCII)
_STACKED = re.compile(r"A100|A800|A30\b|H100|H800|H200|H20\b|B200|B300|GB\d|GH\d", re.ASCII)
_WHERE = (
    "Add these lines to the exporter's counters CSV (GPU Operator: the ConfigMap that dcgmExporter.config of the "
    "ClusterPolicy names), then restart the exporter:"
)


def expected_on(product: str) -> list[Metric]:
    """The health metrics that an exporter could tell of cards of this product."""
    return [metric for metric in load().metric if metric.health and metric.wires and _has(metric.id, product)]


def _has(metric: str, product: str) -> bool:
    if metric.startswith("nvlink"):
        return bool(_NVLINK.search(product))
    if metric.startswith(("row_remap", "remapped")):
        return bool(_STACKED.search(product))
    return True


def check(subjects: Sequence[NodeSubject]) -> RuleResult:
    nvidia = [subject for subject in subjects if subject.devices.vendor == "nvidia"]
    if not nvidia:
        return not_applicable(ID, "No node of this cluster has NVIDIA GPUs.")
    if not any(subject.exporters for subject in nvidia):
        return not_enabled(ID, "No exporter tells of this cluster's GPUs.")
    lacking: dict[str, int] = {}
    asked: dict[str, int] = {}
    answered = 0
    for subject in nvidia:
        exported = {
            metric for exporter in subject.exporters if exporter.outcome == Outcome.COLLECTED for metric in exporter.metrics
        }
        if not exported:
            continue
        answered += 1
        for metric in expected_on(subject.devices.product):
            asked[metric.id] = asked.get(metric.id, 0) + 1
            lacking[metric.id] = lacking.get(metric.id, 0) + (metric.id not in exported)
    if not answered:
        return unknown(ID, "No exporter of this cluster has answered with samples.")
    everywhere = [metric for metric in load().metric if lacking.get(metric.id, 0) == asked.get(metric.id, -1)]
    somewhere = [metric for metric in load().metric if 0 < lacking.get(metric.id, 0) < asked.get(metric.id, 0)]
    findings = []
    if everywhere:
        text = f"{_counters(len(everywhere))} switched off on every exporter: what they would show is unknown."
        findings.append(_finding("", text, everywhere))
    if somewhere:
        text = f"{_counters(len(somewhere))} switched off on some exporters and on at others."
        findings.append(_finding("some", text, somewhere))
    # Exporters that did not answer may be the very ones that lack something.
    unseen = ("", "some") if answered < len(nvidia) else ()
    return answer(ID, findings, blind=[key for key in unseen if all(finding.key != key for finding in findings)])


def _counters(number: int) -> str:
    return "1 counter of GPU health is" if number == 1 else f"{number} counters of GPU health are"


def _finding(key: str, text: str, metrics: Sequence[Metric]) -> Finding:
    return Finding(
        rule=ID,
        severity=Severity.INFO,
        text=text,
        key=key,
        subject="cluster",
        evidence=tuple(Evidence("exporter", metric.wires[0], f"{metric.title}: not exported") for metric in metrics),
        remedy="\n".join((_WHERE, *(metric.csv for metric in metrics))),
        rung="telemetry_healthy",
        sustain_s=LASTS_S if key else 0,
    )


RULE = ClusterRule(id=ID, title="Health counters not enabled", needs=("nodes",), check=check)
