"""Muting findings: they stay open and are shown as muted, until a moment that somebody named with a reason."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from fleet.models import FindingRow, Mute, User
from fleet.services.audit import audit

LONGEST = timedelta(days=365)
LONGEST_REASON = 500
SCOPES = ("finding", "node", "cluster", "everywhere")
"""The finding itself, its rule on the node, in the cluster, or in every cluster."""


class MuteError(ValueError):
    """What is asked cannot be muted so; `field` names the one that is wrong, the text says why."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


@transaction.atomic
def mute(actor: User, finding: FindingRow, *, reason: str, until: datetime, now: datetime, scope: str = "finding") -> Mute:
    """Mutes until `until`, and writes it down. A mute of the same scope that still holds gets the new reason and end."""
    reason = reason.strip()
    if not reason:
        raise MuteError("reason", "Say why: whoever finds it muted will ask.")
    if len(reason) > LONGEST_REASON:
        raise MuteError("reason", f"A reason has {LONGEST_REASON} characters at most.")
    if not now < until <= now + LONGEST:
        raise MuteError("until", f"A mute ends in the future, within {LONGEST.days} days.")
    if finding.period.upper is not None:
        raise MuteError("finding", "It is resolved: there is nothing to mute.")
    if scope not in SCOPES:
        raise MuteError("scope", f"Choose from {', '.join(SCOPES)}.")
    if scope == "node" and finding.node_id is None:
        raise MuteError("scope", "This finding is not about a node.")
    where = {
        "cluster_id": None if scope == "everywhere" else finding.cluster_id,
        "node_id": finding.node_id if scope in ("finding", "node") else None,
        "rule": finding.rule,
        "key": finding.key if scope == "finding" else "",
    }
    before = Mute.objects.select_for_update().filter(**_exactly(where), until__gt=now).first()
    row = before or Mute(**where, created_at=now)
    was = {"until": before.until.isoformat(), "reason": before.reason} if before else None
    row.reason, row.by, row.until = reason, actor, until
    row.save()
    audit(actor, "finding.mute", _words(finding, scope), reason, {"scope": scope, "until": until.isoformat(), "before": was}, now)
    return row


@transaction.atomic
def unmute(actor: User, row: Mute, *, now: datetime) -> None:
    """Ends a mute now; it is kept, so that what was muted when can still be told."""
    row = Mute.objects.select_for_update(of=("self",)).select_related("cluster", "node").get(pk=row.pk)
    if row.until <= now:
        return
    was, row.until = row.until, now
    row.save(update_fields=["until"])
    where = "/".join(part.name for part in (row.cluster, row.node) if part) or "everywhere"
    subject = " ".join(part for part in (row.rule, row.key, "on", where) if part)
    audit(actor, "finding.unmute", subject, "", {"until": was.isoformat(), "reason": row.reason}, now)


def _exactly(where: dict[str, Any]) -> dict[str, Any]:
    return {f"{name}__isnull" if value is None else name: True if value is None else value for name, value in where.items()}


def _words(finding: FindingRow, scope: str) -> str:
    """What is muted, for the audit log."""
    cluster = finding.cluster.name if finding.cluster else ""
    node = finding.node.name if finding.node else ""
    where = {"everywhere": "everywhere", "cluster": cluster}.get(scope) or "/".join(part for part in (cluster, node) if part)
    key = finding.key if scope == "finding" else ""
    return " ".join(part for part in (finding.rule, key, "on", where) if part)
