"""Every rule there is, of health, lint and promises: for whoever must know that an id stands for something, and its title."""

from __future__ import annotations

from fleet.domain.health.rules import CLUSTER_RULES as HEALTH_CLUSTER_RULES
from fleet.domain.health.rules import RULES as HEALTH_RULES
from fleet.domain.lint.rules import CLUSTER_RULES as LINT_CLUSTER_RULES
from fleet.domain.lint.rules import RULES as LINT_RULES
from fleet.domain.pools.findings import TITLES as PROMISE_TITLES
from fleet.domain.rules import ClusterRule, Rule

NODE_RULES: dict[str, Rule] = {rule.id: rule for rule in (*HEALTH_RULES, *LINT_RULES)}
CLUSTER_RULES: dict[str, ClusterRule] = {rule.id: rule for rule in (*HEALTH_CLUSTER_RULES, *LINT_CLUSTER_RULES)}


def title(rule: str) -> str:
    """A rule's title for people; of one that is no more, its id in plain letters."""
    found = NODE_RULES.get(rule) or CLUSTER_RULES.get(rule)
    if rule in PROMISE_TITLES:
        return PROMISE_TITLES[rule]
    return found.title if found else rule.replace("_", " ").capitalize()
