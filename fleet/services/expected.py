"""Operator-declared numbers of physical GPUs."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from fleet.domain.evaluation.subject import Declaration
from fleet.domain.refusals import FieldError
from fleet.models import Cluster, ExpectedGpus, Node, User
from fleet.services.audit import audit
from fleet.services.decisions import checked_reason

MOST = 1024


def declarations(cluster: Cluster) -> tuple[Declaration, ...]:
    """Returns what operators declared that can concern nodes of this cluster."""
    rows = ExpectedGpus.objects.filter(Q(cluster=cluster) | Q(cluster__isnull=True)).order_by("pk")
    return tuple(
        Declaration(
            count=row.count,
            node_name=row.node_name,
            machine_type=row.machine_type,
            product=row.product,
            of_cluster=row.cluster_id is not None,
        )
        for row in rows
    )


@transaction.atomic
def declare(actor: User, node: Node, *, count: int, reason: str, now: datetime) -> ExpectedGpus:
    """Declares how many physical GPUs this node should have. It counts from the next collection run. Raises FieldError."""
    reason = checked_reason(reason)
    if not 0 <= count <= MOST:
        raise FieldError("count", f"A node has between 0 and {MOST} GPUs.")
    before = _of(node).select_for_update().first()
    was = {"count": before.count, "reason": before.reason} if before else {"count": node.expected}
    row, _ = ExpectedGpus.objects.update_or_create(
        cluster=node.cluster,
        node_name=node.name,
        machine_type="",
        product="",
        defaults={"count": count, "reason": reason, "by": actor, "at": now},
    )
    after = {"count": count, "reason": reason}
    audit(actor, "expected_gpus.declare", _subject(node), reason, {"count": count, "before": was, "after": after}, now)
    return row


@transaction.atomic
def withdraw(actor: User, node: Node, *, now: datetime) -> bool:
    """Whether there was a declaration for this very node; from the next run on its count is learned again."""
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
