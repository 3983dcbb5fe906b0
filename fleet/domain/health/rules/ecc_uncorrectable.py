"""Uncorrectable memory errors since the driver was loaded."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.catalog import thresholds
from fleet.domain.catalog.xids import ACTIONS
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.health.node_measurements import RUNG, SampledGpu, by_gpu, remaps_rows

ID = "ecc_uncorrectable"
_METRIC, _REMAPPED = "ecc_dbe_volatile", "remapped_uncorrectable"


def check(subject: NodeSubject) -> RuleResult:
    """Evaluates the volatile counter, and the default exporters' counter of rows remapped for uncorrectable errors."""
    remaps = remaps_rows(subject)
    return by_gpu(subject, ID, (_METRIC, _REMAPPED) if remaps else (_METRIC,), lambda gpu: _look(gpu, remaps))


def _look(gpu: SampledGpu, remaps: bool) -> Iterable[Finding] | None:
    most = thresholds.load().ecc.uncorrectable
    errors, rows = gpu.value(_METRIC), gpu.grown(_REMAPPED) if remaps else None
    if errors is not None and errors > most:
        text = f"{gpu.short} had uncorrectable memory errors since its driver was loaded."
        evidence = Evidence("dcgm", "ECC_DBE_VOL_TOTAL", f"> {most:g}")
        return [_finding(gpu, Severity.CRITICAL, text, evidence, ACTIONS["reset_gpu"])]
    if rows is not None and rows[0] > 0:
        text = f"{gpu.short} has just remapped memory rows for uncorrectable errors."
        evidence = Evidence("dcgm", "UNCORRECTABLE_REMAPPED_ROWS", "grew")
        remedy = "The remapping takes effect with the next reset of the GPU. Watch whether more rows follow."
        return [_finding(gpu, Severity.WARNING, text, evidence, remedy)]
    return None if errors is None or (remaps and rows is None) else []


def _finding(gpu: SampledGpu, severity: Severity, text: str, evidence: Evidence, remedy: str) -> Finding:
    return Finding(
        rule=ID, severity=severity, text=text, key=gpu.uuid, subject="gpu", evidence=(evidence,), remedy=remedy, rung=RUNG
    )


RULE = Rule(id=ID, title="Uncorrectable memory errors", severity=Severity.CRITICAL, needs=(), check=check)
