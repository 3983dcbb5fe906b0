"""A memory row that could not be remapped: the GPU has no spare rows left where it needs them."""

from __future__ import annotations

from fleet.domain.catalog.xids import ACTIONS
from fleet.domain.findings import Severity
from fleet.domain.health.card_rules import of_rows

RULE = of_rows(
    "row_remap_failure",
    "Row remapping failed",
    severity=Severity.CRITICAL,
    says="could not remap a broken memory row: its spare rows are used up.",
    remedy=ACTIONS["replace"],
)
