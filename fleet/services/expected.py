"""Declared counts: how many physical GPUs a node should have, said by somebody instead of learned."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from django.db import transaction
from django.db.models import Q, QuerySet

from fleet.models import Cluster, ExpectedGpus, Node, User
from fleet.services.audit import audit
from fleet.services.decisions import DecisionError, checked_reason

MOST = 1024


class Shape(Protocol):
    """What a declaration may name of a node."""

    name: str
    machine_type: str
    product: str


def declared(cluster: Cluster) -> Callable[[Shape], int | None] | None:
    """A function from a node to the count somebody declared for it: the most particular declaration wins. None where
    nobody declared anything that could concern this cluster."""
    rows = list(ExpectedGpus.objects.filter(Q(cluster=cluster) | Q(cluster__isnull=True)))
    if not rows:
        return None

    def count(node: Shape) -> int | None:
        fitting = [
            row
            for row in rows
            if row.node_name in ("", node.name)
            and row.machine_type in ("", node.machine_type)
            and row.product in ("", node.product)
        ]
        best = max(fitting, key=lambda row: (bool(row.node_name), row.cluster_id is not None, bool(row.product)), default=None)
        return best.count if best else None

    return count


@transaction.atomic
def declare(actor: User, node: Node, *, count: int, reason: str, now: datetime) -> ExpectedGpus:
    """Declares how many physical GPUs this node should have. It counts from the next look. Raises DecisionError."""
    reason = checked_reason(reason)
    if not 0 <= count <= MOST:
        raise DecisionError("count", f"A node has between 0 and {MOST} GPUs.")
    before = _of(node).select_for_update().first()
    was = {"count": before.count, "reason": before.reason} if before else {"count": node.expected}
    row, _ = ExpectedGpus.objects.update_or_create(
        cluster=node.cluster,
        node_name=node.name,
        machine_type="",
        product="",
        defaults={"count": count, "reason": reason, "by": actor, "at": now},
    )
    audit(actor, "expected_gpus.declare", _subject(node), reason, {"count": count, "before": was}, now)
    return row


@transaction.atomic
def withdraw(actor: User, node: Node, *, now: datetime) -> bool:
    """Whether there was a declaration for this very node; from the next look its count is learned again."""
    row = _of(node).select_for_update().first()
    if row is None:
        return False
    was = {"count": row.count, "reason": row.reason, "at": row.at.isoformat()}
    row.delete()
    audit(actor, "expected_gpus.withdraw", _subject(node), "", {"before": was}, now)
    return True


def _of(node: Node) -> QuerySet[ExpectedGpus]:
    return ExpectedGpus.objects.filter(cluster=node.cluster, node_name=node.name, machine_type="", product="")


def _subject(node: Node) -> str:
    return f"{node.cluster.name}/{node.name}"
