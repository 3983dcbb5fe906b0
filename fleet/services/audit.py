"""The audit log: one entry for each thing that somebody did, in the transaction that does it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from fleet.models import AuditEntry, User


def audit(
    actor: User | None,
    action: str,
    subject: str,
    reason: str = "",
    detail: dict[str, Any] | None = None,
    at: datetime | None = None,
) -> AuditEntry:
    """Writes an entry; without an actor it was Muster itself. `action` is noun.verb, `detail` what was before and after."""
    return AuditEntry.objects.create(
        at=at or timezone.now(),
        actor=actor,
        actor_name=actor.get_username() if actor else "",
        action=action,
        subject=subject[:400],
        reason=reason,
        detail=detail or {},
    )
