"""Forgetting, by the ages in the settings: run rows, pods that are gone, ended revisions, used sign-in links, what was told."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet

from fleet.models import CollectionRun, Delivery, DeliveryItem, NodeRevision, Notice, Pod, SignInLink

_BATCH = 5_000


def drop_old(now: datetime) -> dict[str, int]:
    """Deletes what is past its age and returns how many rows of each went. What is still true is never touched."""
    return {
        "runs": _delete(CollectionRun.objects.filter(started_at__lt=now - settings.RUN_RETENTION)),
        "pods": _delete(Pod.objects.filter(removed_at__lt=now - settings.POD_RETENTION)),
        "revisions": _delete(NodeRevision.objects.filter(period__endswith__lt=now - settings.REVISION_RETENTION)),
        **_told(now - settings.NOTICE_RETENTION),
        "links": _delete(SignInLink.objects.filter(expires_at__lt=now)),
    }


def _told(before: datetime) -> dict[str, int]:
    """Messages that have ended, then notices that no message holds any more; what still waits stays, however old."""
    old = Delivery.objects.filter(created_at__lt=before, ended_at__isnull=False)
    _delete(DeliveryItem.objects.filter(delivery__in=old))
    return {
        "deliveries": _delete(old),
        "notices": _delete(Notice.objects.filter(at__lt=before, matched_at__isnull=False, items__isnull=True)),
    }


def _delete(rows: QuerySet) -> int:
    """In batches, so that no transaction is long and no collection waits behind it."""
    table, total = connection.ops.quote_name(rows.model._meta.db_table), 0
    while ids := list(rows.order_by().values_list("pk", flat=True)[:_BATCH]):
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {table} WHERE id = ANY(%s)", [ids])  # noqa: S608 a table's own name
            total += cursor.rowcount
    return total
