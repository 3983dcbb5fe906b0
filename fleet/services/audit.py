"""Writes the audit log: one entry for each action, in its transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connection
from django.utils import timezone

from fleet.models import AuditEntry, User
from fleet.services import origin

LONGEST = 2_000
"""Characters of a text inside of `detail`; what is cut ends with an ellipsis."""
_DEEPEST, _MOST = 8, 200


def audit(
    actor: User | None,
    action: str,
    subject: str,
    reason: str = "",
    detail: dict[str, Any] | None = None,
    at: datetime | None = None,
) -> AuditEntry:
    """Writes an entry; without an actor it was Muster itself. `action` is noun.verb, `detail` what was before and after.

    Address and request id are those of the request, command or task that is under way.
    """
    return record(actor, actor.get_username() if actor else "", action, subject, reason=reason, detail=detail, at=at)


def record(  # noqa: PLR0913 the fields of an entry, given by name
    actor: User | None,
    actor_name: str,
    action: str,
    subject: str,
    *,
    reason: str = "",
    detail: dict[str, Any] | None = None,
    at: datetime | None = None,
) -> AuditEntry:
    """Writes an entry under a name that need not be a user's: of a sign-in that failed, the name that was tried."""
    source = origin.current()
    return AuditEntry.objects.create(
        at=at or timezone.now(),
        actor=actor,
        actor_name=_plain(actor_name)[:150],
        action=action[:60],
        subject=_plain(subject)[:400],
        reason=_plain(reason)[:LONGEST],
        detail=_bounded(detail or {}, 0),
        via=source.via,
        address=source.address[:200],
        request_id=source.request_id[:64],
    )


def drop_days(before: datetime) -> int:
    """Drops the entries of whole UTC days before `before` and returns how many; days of the last 30 always stay.

    A function of the database does it (fleet/migrations/_audit_chain.py): no role may delete, and the chain of digests goes on.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT muster_audit_drop_days(%s)", [before.date()])
        return int(cursor.fetchone()[0])


def _bounded(value: Any, depth: int) -> Any:
    """Returns a copy of bounded size: texts, lists and depth are cut."""
    if isinstance(value, str):
        text = _plain(value)
        return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    if depth >= _DEEPEST:
        return "…" if isinstance(value, dict | list | tuple) else value
    if isinstance(value, dict):
        return {_plain(str(key))[:200]: _bounded(entry, depth + 1) for key, entry in list(value.items())[:_MOST]}
    if isinstance(value, list | tuple):
        return [_bounded(entry, depth + 1) for entry in value[:_MOST]]
    return value


def _plain(text: str) -> str:
    """Returns the text without what Postgres does not store: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
