"""What is kept of each step of an access request: its row, its audit entry and its notification."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fleet.models import AccessRequest, AccessRequestStep, User
from fleet.services import access_request_events
from fleet.services.audit import audit


def record_step(  # noqa: PLR0913 the fields of a request, given by name
    row: AccessRequest,
    actor: User | None,
    kind: str,
    at: datetime,
    text: str = "",
    detail: dict[str, Any] | None = None,
    *,
    audited: bool = True,
    notify: bool = True,
) -> AccessRequestStep:
    """Records a step of a request, in the audit log too, and notifies of it. Call it before the row is saved."""
    if notify:
        access_request_events.notify(row, kind, at, text, actor)
    if audited:
        audit_changes(row, actor, kind, at, text, detail)
    return AccessRequestStep.objects.create(request=row, at=at, actor=actor, kind=kind, text=text, detail=detail or {})


_AUDITED = (
    *("state", "team__slug", "class_version__number", "namespace", "name", "replicas", "gpus", "hours", "image", "purpose"),
    *("wanted_replicas", "expires_at", "extension_until"),
)


def audit_changes(
    row: AccessRequest, actor: User | None, kind: str, at: datetime, text: str = "", detail: dict[str, Any] | None = None
) -> None:
    """Writes the audit entry of a step, with the fields that it changed: as they are stored, and as the row has them."""
    stored = AccessRequest.objects.filter(pk=row.pk).values(*_AUDITED).get()
    changed = {name: (value, _value(row, name)) for name, value in stored.items() if value != _value(row, name)}
    whole = {name: value for name, value in (detail or {}).items() if name not in ("before", "after")}
    if changed:
        whole |= {side: {name: _text(pair[place]) for name, pair in changed.items()} for place, side in enumerate(_SIDES)}
    audit(actor, f"request.{kind}", f"request {row.pk} of {row.team.slug}", reason=text, detail=whole, at=at)


_SIDES = ("before", "after")


def _value(row: AccessRequest, name: str) -> Any:
    first, _, second = name.partition("__")
    return getattr(getattr(row, first), second) if second else getattr(row, first)


def _text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
