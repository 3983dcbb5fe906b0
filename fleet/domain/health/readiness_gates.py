"""NodeReadinessRules applied to a node: which gate keeps it out, and for which conditions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from fleet.domain.label_selectors import matches
from fleet.domain.snapshot import Condition, NodeSnapshot, Taint
from fleet.domain.snapshot.readiness_rules import NodeReadinessRule, RequiredCondition


class Unmet(msgspec.Struct, frozen=True, kw_only=True):
    """A condition that is not as a rule requires."""

    type: str
    required: str
    status: str
    """Empty where the node has no such condition."""
    since: datetime | None = None


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """One rule that selects the node."""

    rule: NodeReadinessRule
    unmet: tuple[Unmet, ...]
    tainted: bool
    """Whether the node carries the taint of the rule."""


def unmet(required: Iterable[RequiredCondition], conditions: Iterable[Condition]) -> tuple[Unmet, ...]:
    """Returns the required conditions that a node with these conditions does not meet."""
    present = {condition.type: condition for condition in conditions}
    rows = []
    for condition in required:
        current = present.get(condition.type)
        if (current.status if current else condition.absent_is) != condition.status:
            rows.append(
                Unmet(
                    type=condition.type,
                    required=condition.status,
                    status=current.status if current else "",
                    since=current.last_transition_at if current else None,
                )
            )
    return tuple(rows)


def gates(rules: Iterable[NodeReadinessRule], node: NodeSnapshot) -> tuple[Gate, ...]:
    """Returns the rules that select the node, by name."""
    return tuple(
        Gate(rule=rule, unmet=unmet(rule.conditions, node.conditions), tainted=_carries(node.taints, rule.taint))
        for rule in sorted(rules, key=lambda rule: rule.name)
        if rule.selects and matches(rule.selector, node.labels)
    )


def _carries(taints: Sequence[Taint], wanted: Taint) -> bool:
    return any((taint.key, taint.effect) == (wanted.key, wanted.effect) for taint in taints)
