"""Uncorrectable memory errors since the driver was loaded."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.catalog import thresholds
from fleet.domain.catalog.xids import ACTIONS
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.health.measuring import RUNG, Card, by_card, remaps_rows
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "ecc_uncorrectable"
_METRIC, _REMAPPED = "ecc_dbe_volatile", "remapped_uncorrectable"


def check(subject: NodeSubject) -> RuleResult:
    """The volatile counter, and beside it what default exporters tell: a row remapped for an uncorrectable error."""
    remaps = remaps_rows(subject)
    return by_card(subject, ID, (_METRIC, _REMAPPED) if remaps else (_METRIC,), lambda card: _look(card, remaps))


def _look(card: Card, remaps: bool) -> Iterable[Finding] | None:
    most = thresholds.load().ecc.uncorrectable
    errors, rows = card.value(_METRIC), card.grown(_REMAPPED) if remaps else None
    if errors is not None and errors > most:
        text = f"{card.short} had uncorrectable memory errors since its driver was loaded."
        evidence = Evidence("dcgm", "ECC_DBE_VOL_TOTAL", f"> {most:g}")
        return [_finding(card, Severity.CRITICAL, text, evidence, ACTIONS["reset_gpu"])]
    if rows is not None and rows[0] > 0:
        text = f"{card.short} has just remapped memory rows for uncorrectable errors."
        evidence = Evidence("dcgm", "UNCORRECTABLE_REMAPPED_ROWS", "grew")
        remedy = "The remapping takes effect with the next reset of the GPU. Watch whether more rows follow."
        return [_finding(card, Severity.WARNING, text, evidence, remedy)]
    return None if errors is None or (remaps and rows is None) else []


def _finding(card: Card, severity: Severity, text: str, evidence: Evidence, remedy: str) -> Finding:
    return Finding(
        rule=ID, severity=severity, text=text, key=card.uuid, subject="gpu", evidence=(evidence,), remedy=remedy, rung=RUNG
    )


RULE = Rule(id=ID, title="Uncorrectable memory errors", needs=(), check=check)
