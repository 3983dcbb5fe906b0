"""Waivers: somebody signs that a rung need not be proved in a cluster. It counts from the next look at it."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from fleet.domain.readiness.rungs import RUNGS
from fleet.models import Cluster, User, WaiverRow
from fleet.services.audit import audit
from fleet.services.decisions import DecisionError, checked_reason

_WAIVABLE = tuple(rung.id for rung in RUNGS)


@transaction.atomic
def grant(actor: User, cluster: Cluster, rung: str, *, reason: str, now: datetime) -> WaiverRow:
    """Waives the rung for the cluster; one that is waived already gets the new reason and name. Raises DecisionError."""
    if rung not in _WAIVABLE:
        raise DecisionError("rung", f"There is no rung {rung}. Choose from {', '.join(_WAIVABLE)}.")
    reason = checked_reason(reason)
    before = WaiverRow.objects.select_for_update().filter(cluster=cluster, pool="", rung=rung).first()
    was = {"reason": before.reason, "by": before.by.get_username() if before.by else ""} if before else None
    row, _ = WaiverRow.objects.update_or_create(
        cluster=cluster, pool="", rung=rung, defaults={"reason": reason, "by": actor, "at": now}
    )
    audit(actor, "waiver.grant", _subject(cluster, rung), reason, {"before": was}, now)
    return row


@transaction.atomic
def withdraw(actor: User, cluster: Cluster, rung: str, *, now: datetime) -> bool:
    """Whether there was a waiver to withdraw."""
    row = WaiverRow.objects.select_for_update(of=("self",)).filter(cluster=cluster, pool="", rung=rung).first()
    if row is None:
        return False
    was = {"reason": row.reason, "by": row.by.get_username() if row.by else "", "at": row.at.isoformat()}
    row.delete()
    audit(actor, "waiver.withdraw", _subject(cluster, rung), "", {"before": was}, now)
    return True


def _subject(cluster: Cluster, rung: str) -> str:
    return f"{rung} in {cluster.name}"
