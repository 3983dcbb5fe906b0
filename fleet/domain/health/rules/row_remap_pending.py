"""Memory rows that wait for a reset of the GPU to be remapped."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.catalog.xids import ACTIONS
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.health.measuring import RUNG, Card, by_card, remaps_rows
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "row_remap_pending"


def check(subject: NodeSubject) -> RuleResult:
    """1 is yes. Cards before Ampere, and those without HBM, tell nothing of it."""
    if not remaps_rows(subject):
        return RuleResult(rule=ID, status=Status.NOT_APPLICABLE, reason="These GPUs tell nothing of remapped rows.")
    return by_card(subject, ID, (ID,), _look)


def _look(card: Card) -> Iterable[Finding] | None:
    value = card.value(ID)
    if not value:
        return None if value is None else []
    return [
        Finding(
            rule=ID,
            severity=Severity.WARNING,
            text=f"{card.short} has memory rows to remap, which needs a reset.",
            key=card.uuid,
            subject="gpu",
            evidence=(Evidence("dcgm", "ROW_REMAP_PENDING", "1"),),
            remedy=ACTIONS["reset_gpu"],
            rung=RUNG,
        )
    ]


RULE = Rule(id=ID, title="Row remapping pending", needs=(), check=check)
