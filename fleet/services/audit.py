"""The audit log: who did what, to what, why. Called inside the transaction that does it."""

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
) -> None:
    """Adds one entry. `action` is noun.verb; `detail` holds before and after, and never a secret."""
    AuditEntry.objects.create(
        at=at or timezone.now(),
        actor=actor,
        actor_name=actor.get_username() if actor else "",
        action=action,
        subject=subject[:400],
        reason=reason,
        detail=detail or {},
    )
