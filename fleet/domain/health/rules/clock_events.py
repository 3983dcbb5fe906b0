"""Why clocks were lowered, as DCGM's clock events name it: reasons that belong to no normal work."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.catalog import thresholds
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.health.measuring import RUNG, Card, by_card
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "clock_events"
_FIELD = "clock_events"
_WORDS = {
    "hw_slowdown": "by its hardware",
    "hw_thermal": "by its hardware because of heat",
    "sw_thermal": "by the driver because of heat",
    "hw_power_brake": "by the power brake of its system",
}


def check(subject: NodeSubject) -> RuleResult:
    """The exporter counts them within a sliding window, so a count above 0 is the present, and no count is no event."""
    return by_card(subject, ID, (_FIELD,), _look, parts=thresholds.load().clock_events.harmful)


def _look(card: Card) -> Iterable[Finding]:
    limits = thresholds.load().clock_events
    told = {reason for sample in card.samples for reason, count in sample.clock_events.items() if count > 0}
    return [
        Finding(
            rule=ID,
            severity=Severity.WARNING,
            text=f"{card.short} is slowed down {_WORDS.get(reason, reason)}.",
            key=f"{card.uuid}/{reason}",
            subject="gpu",
            evidence=(Evidence("dcgm", "clock event", reason),),
            remedy="Check cooling and power supply of this node; a power brake comes from the system's supply, not from the GPU.",
            rung=RUNG,
            sustain_s=limits.sustain_s,
        )
        for reason in limits.harmful
        if reason in told
    ]


RULE = Rule(id=ID, title="Clock events", needs=(), check=check)
