"""What a node's state means for people, and its verdict as far as it can be told."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.models import Node


@dataclass(frozen=True, slots=True)
class Verdict:
    verdict: str
    reason: str


def verdict_of(node: Node) -> Verdict:
    """Until the readiness ladder judges, only intent is certain: a cordoned node is excluded, any other is unknown.

    Absence of judgement is never `ready`.
    """
    if node.state == "cordoned":
        return Verdict("excluded", "The node is cordoned.")
    return Verdict("unknown", "The readiness ladder has not judged this node.")
