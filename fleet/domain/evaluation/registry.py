"""The one registry of rules: every id that a finding can have, with its title, its worst severity and its room.

Pages, the API and notifications take titles from here; silences name these ids.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from fleet.domain.devices.findings.device_rules import DEVICE_RULES
from fleet.domain.evaluation.rules import ClusterRule, Rule
from fleet.domain.findings import Severity
from fleet.domain.health.rules import CLUSTER_RULES as HEALTH_CLUSTER_RULES
from fleet.domain.health.rules import RULES as HEALTH_RULES
from fleet.domain.lint.rules import CLUSTER_RULES as LINT_CLUSTER_RULES
from fleet.domain.lint.rules import RULES as LINT_RULES
from fleet.domain.pools.findings import CLASS_RULES, POOL_RULES


class RegisteredRule(msgspec.Struct, frozen=True):
    """One id of the registry."""

    id: str
    title: str
    severity: Severity
    """The worst that a finding of it can have."""
    room: str
    """devices, health, lint, pools or classes. Findings on devices belong to one run and are not stored as rows."""


NODE_RULES: dict[str, Rule] = {rule.id: rule for rule in (*HEALTH_RULES, *LINT_RULES)}
CLUSTER_RULES: dict[str, ClusterRule] = {rule.id: rule for rule in (*HEALTH_CLUSTER_RULES, *LINT_CLUSTER_RULES)}


def all_rules() -> Iterator[RegisteredRule]:
    """Yields every rule, room by room."""
    for id_, device in DEVICE_RULES.items():
        yield RegisteredRule(id_, device.title, device.severity, "devices")
    for room, rules, cluster_rules in (("health", HEALTH_RULES, HEALTH_CLUSTER_RULES), ("lint", LINT_RULES, LINT_CLUSTER_RULES)):
        for rule in rules:
            yield RegisteredRule(rule.id, rule.title, rule.severity, room)
        for cluster_rule in cluster_rules:
            yield RegisteredRule(cluster_rule.id, cluster_rule.title, cluster_rule.severity, room)
    for prefix, room, violations in (("pool", "pools", POOL_RULES), ("class", "classes", CLASS_RULES)):
        for code, violation in violations.items():
            yield RegisteredRule(f"{prefix}_{code}", violation.title, violation.severity, room)


REGISTRY: dict[str, RegisteredRule] = {rule.id: rule for rule in all_rules()}


def describe(*rooms: str) -> str:
    """Returns the ids of these rooms with their titles, for the documentation of the API."""
    return "; ".join(f"`{rule.id}` ({rule.title})" for rule in REGISTRY.values() if rule.room in rooms)


def title(rule: str) -> str:
    """Returns a rule's title; for a rule that no longer exists, its id in plain letters."""
    registered = REGISTRY.get(rule)
    return registered.title if registered else rule.replace("_", " ").capitalize()
