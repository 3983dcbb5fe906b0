"""Time that GPUs ran slower because of their power limit. Under full load that is normal: it is information."""

from __future__ import annotations

from fleet.domain.findings import Severity
from fleet.domain.health.card_rules import while_it_grows

RULE = while_it_grows(
    "power_throttling",
    "Slowed down by the power limit",
    "power_violation",
    severity=Severity.INFO,
    says="runs against its power limit.",
    remedy="Normal under full load. If performance suffers, check the power limit (nvidia-smi -q -d POWER).",
)
