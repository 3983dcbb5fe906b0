"""Time that GPUs ran slower because of heat, from a counter that grows."""

from __future__ import annotations

from fleet.domain.findings import Severity
from fleet.domain.health.card_rules import while_it_grows

RULE = while_it_grows(
    "thermal_throttling",
    "Slowed down by heat",
    "thermal_violation",
    severity=Severity.WARNING,
    says="is being slowed down by heat.",
    remedy="Check fans, air flow or coolant and the inlet temperature of this node.",
)
