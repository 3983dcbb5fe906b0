"""The audit log: who did what in Muster, when and why. Entries are only ever added."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from fleet.models import AuditEntry, User

_LONGEST_SUBJECT = 400


def audit(
    actor: User | None,
    action: str,
    subject: str,
    reason: str = "",
    detail: dict[str, Any] | None = None,
    at: datetime | None = None,
) -> AuditEntry:
    """Adds an entry; call it in the transaction that does the thing. `action` is noun.verb (`finding.mute`), `detail` what
    was and what is, where something was changed; without an actor it was Muster itself."""
    return AuditEntry.objects.create(
        at=at or timezone.now(),
        actor=actor,
        actor_name=actor.get_username() if actor else "",
        action=action,
        subject=subject[:_LONGEST_SUBJECT],
        reason=reason,
        detail=detail or {},
    )
