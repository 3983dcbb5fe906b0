"""Waivers: an operator accepts that a rung is not proven in a cluster or pool, from the next run on."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from fleet.domain.readiness.rungs import RUNGS
from fleet.domain.refusals import FieldError
from fleet.models import Cluster, Pool, User, WaiverRow
from fleet.services.audit import audit
from fleet.services.decisions import checked_reason

_WAIVABLE = tuple(rung.id for rung in RUNGS)


@transaction.atomic
def grant(actor: User, where: Cluster | Pool, rung: str, *, reason: str, now: datetime) -> WaiverRow:
    """Waives the rung for the cluster or pool; one that is waived already gets the new reason and name. Raises FieldError."""
    if rung not in _WAIVABLE:
        raise FieldError("rung", f"Rung {rung} does not exist. Choose from {', '.join(_WAIVABLE)}.")
    reason = checked_reason(reason)
    before = WaiverRow.objects.select_for_update(of=("self",)).filter(**_place(where), rung=rung).first()
    was = {"reason": before.reason, "by": before.by.get_username() if before.by else ""} if before else None
    row, _ = WaiverRow.objects.update_or_create(**_place(where), rung=rung, defaults={"reason": reason, "by": actor, "at": now})
    after = {"reason": reason, "by": actor.get_username()}
    audit(actor, "waiver.grant", _subject(where, rung), reason, {"before": was, "after": after}, now)
    return row


@transaction.atomic
def withdraw(actor: User, where: Cluster | Pool, rung: str, *, now: datetime) -> bool:
    """Whether there was a waiver to withdraw."""
    row = WaiverRow.objects.select_for_update(of=("self",)).filter(**_place(where), rung=rung).first()
    if row is None:
        return False
    was = {"reason": row.reason, "by": row.by.get_username() if row.by else "", "at": row.at.isoformat()}
    row.delete()
    audit(actor, "waiver.withdraw", _subject(where, rung), "", {"before": was}, now)
    return True


def _place(where: Cluster | Pool) -> dict[str, Any]:
    return {"cluster": None, "pool": where.slug} if isinstance(where, Pool) else {"cluster": where, "pool": ""}


def _subject(where: Cluster | Pool, rung: str) -> str:
    return f"{rung} in pool {where.slug}" if isinstance(where, Pool) else f"{rung} in {where.name}"
