"""The audit log, newest first."""

from __future__ import annotations

from django.db.models import QuerySet

from fleet.models import AuditEntry


def entries() -> QuerySet[AuditEntry]:
    """Everything that was done in Muster, newest first."""
    return AuditEntry.objects.order_by("-at", "-id")


def version() -> str:
    """Changes with every entry."""
    return str(AuditEntry.objects.order_by("-id").values_list("pk", flat=True).first() or 0)
