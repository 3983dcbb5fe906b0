"""Health counters that no exporter of the cluster exports: their part of GPU health is unknown.

DCGM exporter's own CSV has most of them commented out. A GPU without NVLink or HBM never has some of them, which is no fault of
the exporter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from fleet.domain.catalog.metrics import load
from fleet.domain.evaluation.rules import ClusterRule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.results import answer, not_applicable, not_enabled, unknown
from fleet.domain.snapshot.sections import Outcome

ID = "counters_not_enabled"
_NVLINK = re.compile(r"SXM|HBM3|NVL|H200|H20\b|B200|B300|GB\d|V100", re.ASCII)
_STACKED = re.compile(r"A100|A800|A30\b|H100|H800|H200|H20\b|B200|B300|GB\d|GH\d", re.ASCII)
_WHERE = (
    "Add these lines to the exporter's counters CSV (GPU Operator: the ConfigMap that dcgmExporter.config of the "
    "ClusterPolicy names), then restart the exporter:"
)


class Counter(NamedTuple):
    """One line of the exporter's CSV whose absence hides a part of GPU health."""

    id: str
    wire: str
    title: str
    csv: str


@cache
def _known() -> tuple[Counter, ...]:
    metrics = [Counter(item.id, item.wires[0], item.title, item.csv) for item in load().metric if item.health and item.wires]
    # The exporter's own series; clock events are left out, because without an event it may write none.
    own = [Counter(entry.field, entry.wire, entry.title, entry.csv) for entry in load().special if entry.field != "clock_events"]
    return (*metrics, *own)


@lru_cache(maxsize=256)
def expected_on(product: str) -> tuple[Counter, ...]:
    """Returns the health counters that an exporter can report for GPUs of this product."""
    return tuple(counter for counter in _known() if _has(counter.id, product))


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
        return not_enabled(ID, "No exporter reports this cluster's GPUs.")
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
        for counter in expected_on(subject.devices.product):
            asked[counter.id] = asked.get(counter.id, 0) + 1
            lacking[counter.id] = lacking.get(counter.id, 0) + (counter.id not in exported)
    if not answered:
        return unknown(ID, "No exporter of this cluster has answered with samples.")
    everywhere = [item for item in _known() if lacking.get(item.id, 0) == asked.get(item.id, -1)]
    somewhere = [entry for entry in _known() if 0 < lacking.get(entry.id, 0) < asked.get(entry.id, 0)]
    findings = []
    if everywhere:
        text = f"{_counters(len(everywhere))} not enabled on any exporter: what they would show is unknown."
        findings.append(_finding("", text, everywhere))
    if somewhere:
        text = f"{_counters(len(somewhere))} enabled on some exporters only."
        findings.append(_finding("some", text, somewhere))
    # Exporters that did not answer may be the very ones that lack something.
    unseen = ("", "some") if answered < len(nvidia) else ()
    return answer(ID, findings, blind=[key for key in unseen if all(finding.key != key for finding in findings)])


def _counters(number: int) -> str:
    return "1 counter of GPU health is" if number == 1 else f"{number} counters of GPU health are"


def _finding(key: str, text: str, counters: Sequence[Counter]) -> Finding:
    return Finding(
        rule=ID,
        severity=Severity.INFO,
        text=text,
        key=key,
        subject="cluster",
        evidence=tuple(Evidence("exporter", counter.wire, f"{counter.title}: not exported") for counter in counters),
        remedy="\n".join((_WHERE, *(item.csv for item in counters))),
        rung="telemetry_healthy",
    )


RULE = ClusterRule(id=ID, title="Health counters not enabled", severity=Severity.INFO, needs=("nodes",), check=check)
