"""Rules that ask one metric of every card and differ in little but their words."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.catalog import thresholds
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.health.measuring import RUNG, Card, by_card, remaps_rows
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject


def while_it_grows(rule: str, title: str, metric: str, *, severity: Severity, says: str, remedy: str) -> Rule:
    """A finding on every card on which the counter `metric` grows. Only whether it grows is judged: exporters differ in the
    unit of slowed-down time. `says` follows the card's name."""

    def look(card: Card) -> Iterable[Finding] | None:
        grown = card.grown(metric)
        if grown is None or grown[0] <= 0:
            return None if grown is None else []
        sustain_s = thresholds.load().throttling.sustain_s
        return [_finding(rule, card, severity, says, Evidence("dcgm", metric, "grows"), remedy, sustain_s)]

    def check(subject: NodeSubject) -> RuleResult:
        return by_card(subject, rule, (metric,), look)

    return Rule(id=rule, title=title, needs=(), check=check)


def of_rows(rule: str, title: str, *, severity: Severity, says: str, remedy: str) -> Rule:
    """A finding on every card whose flag `rule` is 1. Cards before Ampere, and those without HBM, tell nothing of it."""

    def look(card: Card) -> Iterable[Finding] | None:
        value = card.value(rule)
        if not value:
            return None if value is None else []
        return [_finding(rule, card, severity, says, Evidence("dcgm", rule.upper(), "1"), remedy)]

    def check(subject: NodeSubject) -> RuleResult:
        if not remaps_rows(subject):
            return RuleResult(rule=rule, status=Status.NOT_APPLICABLE, reason="These GPUs tell nothing of remapped rows.")
        return by_card(subject, rule, (rule,), look)

    return Rule(id=rule, title=title, needs=(), check=check)


def _finding(
    rule: str, card: Card, severity: Severity, says: str, evidence: Evidence, remedy: str, sustain_s: int = 0
) -> Finding:
    return Finding(
        rule=rule,
        severity=severity,
        text=f"{card.short} {says}",
        key=card.uuid,
        subject="gpu",
        evidence=(evidence,),
        remedy=remedy,
        rung=RUNG,
        sustain_s=sustain_s,
    )
