"""The health rules in display order. A new one is a file here and a line in the tuple."""

from __future__ import annotations

from fleet.domain.rules import ClusterRule, Rule

RULES: tuple[Rule, ...] = ()
CLUSTER_RULES: tuple[ClusterRule, ...] = ()
