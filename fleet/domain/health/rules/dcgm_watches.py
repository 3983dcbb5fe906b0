"""DCGM's own health watches: what it saw since it began to watch. "Healthy" there is no incident seen, not a proof."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.health.measuring import RUNG, Card, by_card
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "dcgm_watches"
_FIELD, _EVERYTHING = "watches", "ALL"
WARN, FAIL = 10, 20
_REMEDY = "Run dcgmi health -c on the node: it names the incident and what to do."


def check(subject: NodeSubject) -> RuleResult:
    """0 is pass, 10 warn, 20 fail, for each watch of each card."""
    known = {watch for sample in subject.memory.samples for watch in sample.watches}
    return by_card(subject, ID, (_FIELD,), _look, parts=known)


def _look(card: Card) -> Iterable[Finding] | None:
    worst: dict[str, int] = {}
    for sample in card.samples:
        for watch, value in sample.watches.items():
            worst[watch] = max(value, worst.get(watch, 0))
    if not worst:
        return None
    particular = max((value for watch, value in worst.items() if watch != _EVERYTHING), default=0)
    return [
        _finding(card, watch, value)
        for watch, value in sorted(worst.items())
        # the watch over everything says again what a particular one said
        if value >= WARN and not (watch == _EVERYTHING and particular >= value)
    ]


def _finding(card: Card, watch: str, value: int) -> Finding:
    failed = value >= FAIL
    return Finding(
        rule=ID,
        severity=Severity.CRITICAL if failed else Severity.WARNING,
        text=f"DCGM's health watch {watch} {'fails' if failed else 'warns'} on {card.short}.",
        key=f"{card.uuid}/{watch}",
        subject="gpu",
        evidence=(Evidence("dcgm", f"GPU_HEALTH_STATUS {watch}", "fail" if failed else "warn"),),
        remedy=_REMEDY,
        rung=RUNG,
    )


RULE = Rule(id=ID, title="DCGM's health watches", needs=(), check=check)
