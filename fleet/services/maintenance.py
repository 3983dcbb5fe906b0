"""Maintenance: an operator takes a node out of service, in Muster.

Its verdict is `excluded` from the next run on, until the given end, or until an operator ends it. Muster changes nothing in
the cluster.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from fleet.domain.refusals import FieldError
from fleet.models import Maintenance, Node, User
from fleet.services.audit import audit
from fleet.services.decisions import checked_reason

LONGEST = timedelta(days=365)


@transaction.atomic
def begin(actor: User, node: Node, *, reason: str, until: datetime | None, now: datetime) -> Maintenance:
    """Puts the node into maintenance; one that is in it already gets the new reason and end. Raises FieldError."""
    reason = checked_reason(reason)
    if until is not None and not now < until <= now + LONGEST:
        raise FieldError("until", f"Maintenance must end in the future, within {LONGEST.days} days.")
    before = Maintenance.objects.select_for_update().filter(cluster=node.cluster, node_name=node.name).first()
    was = {"reason": before.reason, "until": _text(before.until)} if before else None
    row, _ = Maintenance.objects.update_or_create(
        cluster=node.cluster, node_name=node.name, defaults={"reason": reason, "by": actor, "at": now, "until": until}
    )
    after = {"reason": reason, "until": _text(until)}
    audit(actor, "maintenance.begin", _subject(node), reason, {"before": was, "after": after}, now)
    return row


@transaction.atomic
def end(actor: User, node: Node, *, now: datetime) -> bool:
    """Whether the node was in maintenance."""
    row = Maintenance.objects.select_for_update().filter(cluster=node.cluster, node_name=node.name).first()
    if row is None:
        return False
    was = {"reason": row.reason, "until": _text(row.until), "at": row.at.isoformat()}
    row.delete()
    audit(actor, "maintenance.end", _subject(node), "", {"before": was}, now)
    return True


def _subject(node: Node) -> str:
    return f"{node.cluster.name}/{node.name}"


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
