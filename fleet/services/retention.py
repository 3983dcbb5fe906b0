"""Forgetting, by the ages in the settings: run rows, pods that are gone, ended revisions, resolved findings, mutes that ran out,
old audit entries, used sign-in links."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet

from fleet.models import AuditEntry, CollectionRun, FindingRow, Mute, NodeRevision, Pod, SignInLink
from fleet.services import idempotency
from fleet.services.recording import frames

_BATCH = 5_000


def drop_old(now: datetime) -> dict[str, int]:
    """Deletes what is past its age and returns how many rows of each went (of frames: how many hours of them). What is still
    true is never touched."""
    return {
        "runs": _delete(CollectionRun.objects.filter(started_at__lt=now - settings.RUN_RETENTION)),
        "pods": _delete(Pod.objects.filter(removed_at__lt=now - settings.POD_RETENTION)),
        "revisions": _delete(NodeRevision.objects.filter(period__endswith__lt=now - settings.REVISION_RETENTION)),
        "frames": frames.drop_old(now),
        "findings": _delete(FindingRow.objects.filter(period__endswith__lt=now - settings.PERIOD_RETENTION)),
        "mutes": _delete(Mute.objects.filter(until__lt=now - settings.PERIOD_RETENTION)),
        "audit": _delete(AuditEntry.objects.filter(at__lt=now - settings.PERIOD_RETENTION)),
        "links": _delete(SignInLink.objects.filter(expires_at__lt=now)),
        "idempotency_keys": idempotency.drop_old(now),
    }


def _delete(rows: QuerySet) -> int:
    """In batches, so that no transaction is long and no collection waits behind it."""
    table, total = connection.ops.quote_name(rows.model._meta.db_table), 0
    while ids := list(rows.order_by().values_list("pk", flat=True)[:_BATCH]):
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {table} WHERE id = ANY(%s)", [ids])  # noqa: S608 a table's own name
            total += cursor.rowcount
    return total
