"""Memory rows that wait for a reset of the GPU to be remapped."""

from __future__ import annotations

from fleet.domain.catalog.xids import ACTIONS
from fleet.domain.findings import Severity
from fleet.domain.health.card_rules import of_rows

RULE = of_rows(
    "row_remap_pending",
    "Row remapping pending",
    severity=Severity.WARNING,
    says="has memory rows to remap, which needs a reset.",
    remedy=ACTIONS["reset_gpu"],
)
