"""PCIe transfers that had to be repeated: a few are corrected by the link, many tell of a bad slot, riser or cable."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.catalog import thresholds
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.health.measuring import RUNG, Card, by_card
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "pcie_replay"
_METRIC = "pcie_replay"


def check(subject: NodeSubject) -> RuleResult:
    """Replays per minute between two looks."""
    return by_card(subject, ID, (_METRIC,), _look)


def _look(card: Card) -> Iterable[Finding] | None:
    grown = card.grown(_METRIC)
    if grown is None:
        return None
    limits = thresholds.load().pcie
    more, gap = grown
    if more * 60 / gap.total_seconds() < limits.replays_per_minute:
        return []
    return [
        Finding(
            rule=ID,
            severity=Severity.WARNING,
            text=f"{card.short} repeats many PCIe transfers.",
            key=card.uuid,
            subject="gpu",
            evidence=(Evidence("dcgm", "PCIE_REPLAY_COUNTER", f"≥ {limits.replays_per_minute:g} per minute"),),
            remedy="Reseat the card or its riser and cable; compare the link's width and speed with its neighbours'.",
            rung=RUNG,
            sustain_s=limits.sustain_s,
        )
    ]


RULE = Rule(id=ID, title="PCIe replays", needs=(), check=check)
