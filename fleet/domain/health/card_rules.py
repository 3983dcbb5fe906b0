"""Rules that evaluate one metric of every GPU."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.catalog import thresholds
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.health.node_measurements import RUNG, SampledGpu, by_gpu, remaps_rows


def while_it_grows(rule: str, title: str, metric: str, *, severity: Severity, says: str, remedy: str) -> Rule:
    """Returns a rule with a finding for every GPU whose counter `metric` grows.

    Only growth is evaluated: exporters differ in the unit of throttled time. `says` follows the GPU's name.
    """

    def look(gpu: SampledGpu) -> Iterable[Finding] | None:
        grown = gpu.grown(metric)
        if grown is None or grown[0] <= 0:
            return None if grown is None else []
        sustain_s = thresholds.load().throttling.sustain_s
        return [_finding(rule, gpu, severity, says, Evidence("dcgm", metric, "grows"), remedy, sustain_s)]

    def check(subject: NodeSubject) -> RuleResult:
        return by_gpu(subject, rule, (metric,), look)

    return Rule(id=rule, title=title, severity=severity, needs=(), check=check)


def of_rows(rule: str, title: str, *, severity: Severity, says: str, remedy: str) -> Rule:
    """Returns a rule with a finding for every GPU whose flag `rule` is 1.

    GPUs before Ampere, and those without HBM, do not report it.
    """

    def look(gpu: SampledGpu) -> Iterable[Finding] | None:
        value = gpu.value(rule)
        if not value:
            return None if value is None else []
        return [_finding(rule, gpu, severity, says, Evidence("dcgm", rule.upper(), "1"), remedy)]

    def check(subject: NodeSubject) -> RuleResult:
        if not remaps_rows(subject):
            return RuleResult(rule=rule, status=Status.NOT_APPLICABLE, reason="These GPUs do not report remapped rows.")
        return by_gpu(subject, rule, (rule,), look)

    return Rule(id=rule, title=title, severity=severity, needs=(), check=check)


def _finding(  # noqa: PLR0913 the fields of a finding
    rule: str, gpu: SampledGpu, severity: Severity, says: str, evidence: Evidence, remedy: str, sustain_s: int = 0
) -> Finding:
    return Finding(
        rule=rule,
        severity=severity,
        text=f"{gpu.short} {says}",
        key=gpu.uuid,
        subject="gpu",
        evidence=(evidence,),
        remedy=remedy,
        rung=RUNG,
        sustain_s=sustain_s,
    )
