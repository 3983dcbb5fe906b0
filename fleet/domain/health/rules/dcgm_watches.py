"""DCGM health watches: incidents since it started. "Healthy" means no incident seen and is not evidence of health."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.health.node_measurements import RUNG, SampledGpu, by_gpu

ID = "dcgm_watches"
_FIELD, _EVERYTHING = "watches", "ALL"
WARN, FAIL = 10, 20
_REMEDY = "Run on the node: dcgmi health -c\nIt names the incident and the fix."


def check(subject: NodeSubject) -> RuleResult:
    """Returns pass for 0, warn for 10, fail for 20, for each watch of each GPU."""
    known = {watch for sample in subject.history.samples for watch in sample.watches}
    return by_gpu(subject, ID, (_FIELD,), _look, parts=known)


def _look(gpu: SampledGpu) -> Iterable[Finding] | None:
    worst: dict[str, int] = {}
    for sample in gpu.samples:
        for watch, value in sample.watches.items():
            worst[watch] = max(value, worst.get(watch, 0))
    if not worst:
        return None
    particular = max((value for watch, value in worst.items() if watch != _EVERYTHING), default=0)
    return [
        _finding(gpu, watch, value)
        for watch, value in sorted(worst.items())
        # the watch over everything repeats what a particular one reports
        if value >= WARN and not (watch == _EVERYTHING and particular >= value)
    ]


def _finding(gpu: SampledGpu, watch: str, value: int) -> Finding:
    failed = value >= FAIL
    return Finding(
        rule=ID,
        severity=Severity.CRITICAL if failed else Severity.WARNING,
        text=f"DCGM's health watch {watch} {'fails' if failed else 'warns'} on {gpu.short}.",
        key=f"{gpu.uuid}/{watch}",
        subject="gpu",
        evidence=(Evidence("dcgm", f"GPU_HEALTH_STATUS {watch}", "fail" if failed else "warn"),),
        remedy=_REMEDY,
        rung=RUNG,
    )


RULE = Rule(id=ID, title="DCGM's health watches", severity=Severity.CRITICAL, needs=(), check=check)
