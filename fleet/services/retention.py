"""Forgetting, by the ages in the settings: run rows, pods that are gone, ended revisions and periods, old figures, mutes that
ran out, old audit entries, used sign-in links, what was told."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import connection
from django.db.models import Model, QuerySet

from fleet.models import (
    AuditEntry,
    CollectionRun,
    Delivery,
    DeliveryItem,
    FindingRow,
    FleetDay,
    GpuHour,
    Mute,
    NodeDay,
    NodeRevision,
    Notice,
    Pod,
    RungPeriod,
    SignInLink,
    VerdictPeriod,
    XidBurstRow,
)
from fleet.services import idempotency
from fleet.services.recording import frames

_BATCH = 5_000


def drop_old(now: datetime) -> dict[str, int]:
    """Deletes what is past its age and returns how many rows of each went (of frames: how many hours of them). What is still
    true is never touched."""
    history = now - settings.PERIOD_RETENTION
    return {
        "runs": _delete(CollectionRun.objects.filter(started_at__lt=now - settings.RUN_RETENTION)),
        "pods": _delete(Pod.objects.filter(removed_at__lt=now - settings.POD_RETENTION)),
        "revisions": _delete(_ended(NodeRevision, now - settings.REVISION_RETENTION)),
        "frames": frames.drop_old(now),
        "verdicts": _delete(_ended(VerdictPeriod, history)),
        "rungs": _delete(_ended(RungPeriod, history)),
        "findings": _delete(_ended(FindingRow, history)),
        "bursts": _delete(XidBurstRow.objects.filter(last_at__lt=history)),
        "days": _delete(NodeDay.objects.filter(day__lt=history.date())),
        "fleet_days": _delete(FleetDay.objects.filter(day__lt=history.date())),
        "hours": _delete(GpuHour.objects.filter(hour__lt=history)),
        "mutes": _delete(Mute.objects.filter(until__lt=history)),
        "audit": _delete(AuditEntry.objects.filter(at__lt=history)),
        **_told(now - settings.NOTICE_RETENTION),
        "links": _delete(SignInLink.objects.filter(expires_at__lt=now)),
        "idempotency_keys": idempotency.drop_old(now),
    }


def _ended(model: type[Model], before: datetime) -> QuerySet:
    """Periods that ended before; that they also began before lets the index on their beginnings find them."""
    return model._default_manager.filter(period__startswith__lt=before, period__endswith__lt=before)


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
