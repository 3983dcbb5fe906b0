"""Temperatures of GPU and memory against the limits where boards slow down."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.catalog import thresholds
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.health.measuring import RUNG, Card, by_card, is_one_of
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "thermal"
_GPU, _MEMORY = "gpu_temp", "memory_temp"
REMEDY = "Check fans, air flow or coolant and the inlet temperature of this node; move the work away if it stays."


def check(subject: NodeSubject) -> RuleResult:
    """A card passes when both temperatures are known to be below their limits; cards without HBM have only one."""
    limits = thresholds.load().thermal
    wanted = {_GPU: (limits.gpu_temp_c, "GPU")}
    if not is_one_of(subject.devices.product, limits.no_memory_temp):
        wanted[_MEMORY] = (limits.memory_temp_c, "memory")

    def look(card: Card) -> Iterable[Finding] | None:
        hot = [finding for metric, (limit, word) in wanted.items() if (finding := _judge(card, metric, limit, word)) is not None]
        known = all(card.value(metric) is not None for metric in wanted)
        return hot if hot or known else None

    return by_card(subject, ID, tuple(wanted), look, parts=wanted)


def _judge(card: Card, metric: str, limit: float, word: str) -> Finding | None:
    value = card.value(metric)
    if value is None or value < limit:
        return None
    return Finding(
        rule=ID,
        severity=Severity.WARNING,
        text=f"The {word} temperature of {card.short} is at or above {limit:g} °C.",
        key=f"{card.uuid}/{metric}",
        subject="gpu",
        evidence=(Evidence("dcgm", metric, f"≥ {limit:g} °C"),),
        remedy=REMEDY,
        rung=RUNG,
        sustain_s=thresholds.load().thermal.sustain_s,
    )


RULE = Rule(id=ID, title="Temperature", needs=(), check=check)
