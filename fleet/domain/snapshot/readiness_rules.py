"""NodeReadinessRules of the Node Readiness Controller: conditions that a node must have before its taint is removed."""

from __future__ import annotations

import msgspec

from fleet.domain.label_selectors import Requirement
from fleet.domain.snapshot.nodes import Taint


class RequiredCondition(msgspec.Struct, frozen=True):
    """A node condition and the status that it must have; `absent_is` counts where the node has no such condition."""

    type: str
    status: str
    absent_is: str = "Unknown"


class NodeReadinessRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule: nodes that it selects carry its taint while a condition is not as required."""

    name: str
    conditions: tuple[RequiredCondition, ...] = ()
    taint: Taint
    continuous: bool = False
    """Whether it taints again when a condition is lost later; else only until the node first met them (bootstrap-only)."""
    dry_run: bool = False
    selector: tuple[Requirement, ...] = ()
    selects: bool = True
    """False where the node selector cannot be read: which nodes the rule is for is unknown."""
