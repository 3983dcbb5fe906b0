"""The audit log, newest first, and its entries as they leave Muster."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TypedDict

from django.db.models import QuerySet

from fleet.models import AuditEntry, AuditLink, AuditStream


class EntryDocument(TypedDict):
    """An entry as syslog and webhooks receive it. `number` and `digest` are its place in the chain."""

    number: int
    at: str
    actor: str | None
    action: str
    subject: str
    reason: str
    detail: dict[str, object]
    via: str
    address: str
    request_id: str
    digest: str


def entries() -> QuerySet[AuditEntry]:
    """Everything that was done in Muster, newest first, with its place in the chain."""
    return AuditEntry.objects.select_related("link").order_by("-at", "-id")


def version() -> str:
    """Changes with every entry, and when an external receiver starts or stops failing."""
    newest = AuditEntry.objects.order_by("-id").values_list("pk", flat=True).first() or 0
    return f"{newest}:{'|'.join(f'{stream.sink}{stream.error}' for stream in streams())}"


def documents_after(number: int, most: int) -> Iterator[EntryDocument]:
    """Yields at most `most` entries after the link `number`, in the order of the chain."""
    links = AuditLink.objects.filter(number__gt=number).order_by("number").select_related("entry")[:most]
    for link in links:
        entry = link.entry
        yield {
            "number": link.number,
            "at": utc_text(entry.at),
            "actor": entry.actor_name or None,
            "action": entry.action,
            "subject": entry.subject,
            "reason": entry.reason,
            "detail": entry.detail,
            "via": entry.via,
            "address": entry.address,
            "request_id": entry.request_id,
            "digest": link.digest,
        }


def streams() -> list[AuditStream]:
    """Returns the position of each external receiver."""
    return list(AuditStream.objects.order_by("sink"))


def utc_text(at: datetime) -> str:
    """Returns the moment as RFC 3339 in UTC with microseconds."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
