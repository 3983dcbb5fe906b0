"""The audit log: who did what in Muster, when and why. Written in the transaction that does it, so that neither is without
the other."""

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
    """Adds an entry. `actor` None is Muster itself; `action` is noun.verb; `detail` holds before and after, as JSON takes it."""
    return AuditEntry.objects.create(
        at=at or timezone.now(),
        actor=actor,
        actor_name=actor.get_username() if actor else "",
        action=action,
        subject=subject[:400],
        reason=reason,
        detail=detail or {},
    )
