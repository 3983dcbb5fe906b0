"""Time that cards ran slower because of heat, told by a counter that grows."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.catalog import thresholds
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.health.measuring import RUNG, Card, by_card
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "thermal_throttling"
_METRIC = "thermal_violation"


def check(subject: NodeSubject) -> RuleResult:
    """Only whether it grows is judged: exporters differ in its unit."""
    return by_card(subject, ID, (_METRIC,), _look)


def _look(card: Card) -> Iterable[Finding] | None:
    grown = card.grown(_METRIC)
    if grown is None or grown[0] <= 0:
        return None if grown is None else []
    return [
        Finding(
            rule=ID,
            severity=Severity.WARNING,
            text=f"{card.short} is being slowed down by heat.",
            key=card.uuid,
            subject="gpu",
            evidence=(Evidence("dcgm", _METRIC, "grows"),),
            remedy="Check fans, air flow or coolant and the inlet temperature of this node.",
            rung=RUNG,
            sustain_s=thresholds.load().throttling.sustain_s,
        )
    ]


RULE = Rule(id=ID, title="Slowed down by heat", needs=(), check=check)
