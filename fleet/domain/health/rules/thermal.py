"""Temperatures of GPU and memory against the limits where boards slow down."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.catalog import thresholds
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.health.node_measurements import RUNG, SampledGpu, by_gpu, is_one_of

ID = "thermal"
_GPU, _MEMORY = "gpu_temp", "memory_temp"
REMEDY = "Check fans, air flow or coolant and the inlet temperature of this node; move the work away if it stays."


def check(subject: NodeSubject) -> RuleResult:
    """Returns pass where both temperatures are known to be below their limits; GPUs without HBM have only one."""
    limits = thresholds.load().thermal
    wanted = {_GPU: (limits.gpu_temp_c, "GPU")}
    if not is_one_of(subject.devices.product, limits.no_memory_temp):
        wanted[_MEMORY] = (limits.memory_temp_c, "memory")

    def look(gpu: SampledGpu) -> Iterable[Finding] | None:
        hot = [finding for metric, (limit, word) in wanted.items() if (finding := _judge(gpu, metric, limit, word)) is not None]
        known = all(gpu.value(metric) is not None for metric in wanted)
        return hot if hot or known else None

    return by_gpu(subject, ID, tuple(wanted), look, parts=wanted)


def _judge(gpu: SampledGpu, metric: str, limit: float, word: str) -> Finding | None:
    value = gpu.value(metric)
    if value is None or value < limit:
        return None
    return Finding(
        rule=ID,
        severity=Severity.WARNING,
        text=f"The {word} temperature of {gpu.short} is at or above {limit:g} °C.",
        key=f"{gpu.uuid}/{metric}",
        subject="gpu",
        evidence=(Evidence("dcgm", metric, f"≥ {limit:g} °C"),),
        remedy=REMEDY,
        rung=RUNG,
        sustain_s=thresholds.load().thermal.sustain_s,
    )


RULE = Rule(id=ID, title="Temperature", severity=Severity.WARNING, needs=(), check=check)
