"""Reasons of lowered clocks in DCGM's clock events that do not belong to normal operation."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.catalog import thresholds
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.health.node_measurements import RUNG, SampledGpu, by_gpu

ID = "clock_events"
_FIELD = "clock_events"
_WORDS = {
    "hw_slowdown": "by its hardware",
    "hw_thermal": "by its hardware because of heat",
    "sw_thermal": "by the driver because of heat",
    "hw_power_brake": "by the power brake of its system",
}


def check(subject: NodeSubject) -> RuleResult:
    """Evaluates DCGM's clock events.

    The exporter counts them within a sliding window, so a count above 0 is current, and no count is no event.
    """
    return by_gpu(subject, ID, (_FIELD,), _look, parts=thresholds.load().clock_events.harmful)


def _look(gpu: SampledGpu) -> Iterable[Finding]:
    limits = thresholds.load().clock_events
    samples = {reason for sample in gpu.samples for reason, count in sample.clock_events.items() if count > 0}
    return [
        Finding(
            rule=ID,
            severity=Severity.WARNING,
            text=f"{gpu.short} has its clocks lowered {_WORDS.get(reason, reason)}.",
            key=f"{gpu.uuid}/{reason}",
            subject="gpu",
            evidence=(Evidence("dcgm", "clock event", reason),),
            remedy="Check cooling and power supply of this node; a power brake comes from the system's supply, not from the GPU.",
            rung=RUNG,
            sustain_s=limits.sustain_s,
        )
        for reason in limits.harmful
        if reason in samples
    ]


RULE = Rule(id=ID, title="Clock events", severity=Severity.WARNING, needs=(), check=check)
