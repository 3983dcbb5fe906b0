"""Silences findings: they stay open and are shown as silenced, until a given moment and with a reason."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from fleet.domain.refusals import FieldError
from fleet.models import FindingRow, Silence, User
from fleet.services.audit import audit

LONGEST = timedelta(days=365)
LONGEST_REASON = 500
SCOPES = ("finding", "node", "cluster", "everywhere")
"""The finding itself, its rule on the node, in the cluster, or in every cluster."""


@transaction.atomic
def silence(actor: User, finding: FindingRow, *, reason: str, until: datetime, now: datetime, scope: str = "finding") -> Silence:
    """Silences a finding until `until`, with an audit entry. A silence of the same scope gets the new reason and end."""
    reason = reason.strip()
    if not reason:
        raise FieldError("reason", "A reason is required.")
    if len(reason) > LONGEST_REASON:
        raise FieldError("reason", f"A reason has at most {LONGEST_REASON} characters.")
    if not now < until <= now + LONGEST:
        raise FieldError("until", f"The end must be in the future and within {LONGEST.days} days.")
    if finding.period.upper is not None:
        raise FieldError("finding", "The finding is resolved, so it cannot be silenced.")
    if scope not in SCOPES:
        raise FieldError("scope", f"{scope!r} is not a scope: choose from {', '.join(SCOPES)}.")
    if scope == "node" and finding.node_id is None:
        raise FieldError("scope", "This finding is not about a node: choose another scope.")
    where = {
        "cluster_id": None if scope == "everywhere" else finding.cluster_id,
        "node_id": finding.node_id if scope in ("finding", "node") else None,
        "rule": finding.rule,
        "key": finding.key if scope == "finding" else "",
    }
    before = Silence.objects.select_for_update().filter(**_exactly(where), until__gt=now).first()
    row = before or Silence(**where, created_at=now)
    was = {"until": before.until.isoformat(), "reason": before.reason} if before else None
    row.reason, row.by, row.until = reason, actor, until
    row.save()
    after = {"until": until.isoformat(), "reason": reason}
    audit(actor, "finding.silence", _words(finding, scope), reason, {"scope": scope, "before": was, "after": after}, now)
    return row


@transaction.atomic
def unsilence(actor: User, row: Silence, *, now: datetime) -> None:
    """Ends a silence now; the row stays for the history."""
    row = Silence.objects.select_for_update(of=("self",)).select_related("cluster", "node").get(pk=row.pk)
    if row.until <= now:
        return
    was, row.until = row.until, now
    row.save(update_fields=["until"])
    where = "/".join(part.name for part in (row.cluster, row.node) if part) or "everywhere"
    subject = " ".join(part for part in (row.rule, row.key, "on", where) if part)
    audit(actor, "finding.unsilence", subject, "", {"before": {"until": was.isoformat(), "reason": row.reason}}, now)


def _exactly(where: dict[str, Any]) -> dict[str, Any]:
    return {f"{name}__isnull" if value is None else name: True if value is None else value for name, value in where.items()}


def _words(finding: FindingRow, scope: str) -> str:
    """Returns what is silenced, for the audit log."""
    cluster = finding.cluster.name if finding.cluster else ""
    node = finding.node.name if finding.node else ""
    where = {"everywhere": "everywhere", "cluster": cluster}.get(scope) or "/".join(part for part in (cluster, node) if part)
    key = finding.key if scope == "finding" else ""
    return " ".join(part for part in (finding.rule, key, "on", where) if part)
