"""Drops what is past its age, by the settings, of every table that grows by itself.

DROPPED and KEPT name every table; a test refuses one that is in neither.
"""

from __future__ import annotations

import logging
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, Model, OuterRef, QuerySet

from fleet.models import (
    CollectionRun,
    CompliancePeriod,
    Delivery,
    DeliveryItem,
    FindingRow,
    FleetDay,
    GpuHour,
    KeptForecast,
    Node,
    NodeDay,
    NodeRevision,
    Notice,
    Pod,
    PoolMembership,
    RungPeriod,
    SignInLink,
    Silence,
    StrandedDay,
    VerdictPeriod,
    XidBurstRow,
)
from fleet.models.statements import statement
from fleet.selectors.audit import chain as audit_chain
from fleet.services import audit, idempotency, sessions
from fleet.services.recording import frames

log = logging.getLogger(__name__)
_BATCH = 5_000
_NODE_BATCH = 200

DROPPED = {
    "fleet.CollectionRun": "MUSTER_RUN_DAYS",
    "fleet.Pod": "MUSTER_POD_DAYS, after it was removed",
    "fleet.NodeRevision": "MUSTER_REVISION_DAYS, after it ended",
    "fleet.TelemetryFrame": "MUSTER_TELEMETRY_HOURS",
    "fleet.VerdictPeriod": "MUSTER_HISTORY_DAYS, after it ended",
    "fleet.RungPeriod": "MUSTER_HISTORY_DAYS, after it ended",
    "fleet.PoolMembership": "MUSTER_HISTORY_DAYS, after it ended",
    "fleet.CompliancePeriod": "MUSTER_HISTORY_DAYS, after it ended",
    "fleet.FindingRow": "MUSTER_HISTORY_DAYS, after the last finding of its incident was resolved",
    "fleet.Silence": "MUSTER_HISTORY_DAYS, after it ran out",
    "fleet.XidBurstRow": "MUSTER_HISTORY_DAYS",
    "fleet.NodeDay": "MUSTER_HISTORY_DAYS",
    "fleet.FleetDay": "MUSTER_HISTORY_DAYS",
    "fleet.GpuHour": "MUSTER_HISTORY_DAYS",
    "fleet.StrandedDay": "MUSTER_HISTORY_DAYS",
    "fleet.KeptForecast": "MUSTER_HISTORY_DAYS",
    "fleet.Node": "the longest of MUSTER_HISTORY_DAYS, MUSTER_REVISION_DAYS and MUSTER_POD_DAYS, after it was removed",
    "fleet.Notice": "MUSTER_NOTICE_DAYS, once matched and delivered",
    "fleet.Delivery": "MUSTER_NOTICE_DAYS, once it ended",
    "fleet.DeliveryItem": "with its delivery",
    "fleet.AuditEntry": "MUSTER_AUDIT_DAYS",
    "fleet.AuditLink": "with its entry",
    "fleet.SignInLink": "until it expires",
    "fleet.IdempotencyKey": "a day",
    "sessions.Session": "MUSTER_SESSION_HOURS",
    "usersessions.UserSession": "with its session",
}
"""Table to how long its rows are kept."""
KEPT = {
    "fleet.Cluster": "one for each context of the kubeconfigs",
    "fleet.NodeResource": "current state, goes with its node",
    "fleet.Gpu": "current state, goes with its node",
    "fleet.MigInstance": "current state, goes with its node",
    "fleet.DeviceTelemetry": "newest sample of each device, goes with its node",
    "fleet.ModelServerRow": "newest answer of each server, goes with its pod or node",
    "fleet.Exporter": "newest answer of each exporter, goes with its pod",
    "fleet.SchedulingRow": "current state of each cluster",
    "fleet.DataCheck": "one row",
    "fleet.AuditStream": "one for each receiver",
    "fleet.AuditDay": "one for each day with dropped entries: the chain continues from it",
    "fleet.Pool": "written by people",
    "fleet.WorkloadClass": "written by people",
    "fleet.ClassVersion": "written by people, and requests refer to it",
    "fleet.Team": "written by people",
    "fleet.MembershipRequest": "until it is decided",
    "fleet.Price": "written by people",
    "fleet.TeamMember": "written by people, or by groups of the identity provider",
    "fleet.AccessRequest": "written by people: what was granted to whom",
    "fleet.AccessRequestStep": "written by people: who decided what",
    "fleet.WaiverRow": "written by people",
    "fleet.ExpectedGpus": "written by people",
    "fleet.Maintenance": "written by people",
    "fleet.XidOverride": "written by people",
    "fleet.SavedView": "written by people",
    "fleet.NotificationTarget": "written by people",
    "fleet.NotificationRule": "written by people",
    "fleet.User": "one for each person: entries of the audit log name it",
    "fleet.ApiToken": "made by people: an expired one stays for the audit",
    "socialaccount.SocialAccount": "one for each person",
    "mfa.Authenticator": "two for each person",
}
"""Table that is not dropped from, to why it does not grow by itself."""
UNUSED = frozenset(
    {
        *("auth.Permission", "auth.Group", "auth.Group_permissions", "fleet.User_groups", "fleet.User_user_permissions"),
        *("account.EmailAddress", "account.EmailConfirmation", "socialaccount.SocialApp", "socialaccount.SocialToken"),
        "contenttypes.ContentType",
    }
)
"""Tables of libraries to which Muster writes nothing while it runs."""


def drop_old(now: datetime) -> dict[str, int]:
    """Deletes what is past its age and returns the number of deleted rows per table (of frames: hours).

    Current data is never deleted.
    """
    history = now - settings.PERIOD_RETENTION
    # In the log of the process, too: kept elsewhere, it shows later that no entry was cut off the end.
    log.info("Audit log: newest entry and digest %d:%s", *audit_chain.head())
    return {
        "runs": _delete(CollectionRun.objects.filter(started_at__lt=now - settings.RUN_RETENTION)),
        "pods": _delete(Pod.objects.filter(removed_at__lt=now - settings.POD_RETENTION)),
        "revisions": _delete(_ended(NodeRevision, now - settings.REVISION_RETENTION)),
        "frames": frames.drop_old(now),
        "verdicts": _delete(_ended(VerdictPeriod, history)),
        "rungs": _delete(_ended(RungPeriod, history)),
        "memberships": _delete(_ended(PoolMembership, history)),
        "compliance": _delete(_ended(CompliancePeriod, history)),
        "findings": _delete_findings(history),
        "bursts": _delete(XidBurstRow.objects.filter(last_at__lt=history)),
        "days": _delete(NodeDay.objects.filter(day__lt=history.date())),
        "fleet_days": _delete(FleetDay.objects.filter(day__lt=history.date())),
        "forecasts": _delete(KeptForecast.objects.filter(created_at__lt=history)),
        "stranded_days": _delete(StrandedDay.objects.filter(day__lt=history.date())),
        "hours": _delete(GpuHour.objects.filter(hour__lt=history)),
        "silences": _delete(Silence.objects.filter(until__lt=history)),
        "audit": audit.drop_days(now - settings.AUDIT_RETENTION),
        **_told(now - settings.NOTICE_RETENTION),
        "sessions": sessions.drop_ended(now),
        "links": _delete(SignInLink.objects.filter(expires_at__lt=now)),
        "idempotency_keys": idempotency.drop_old(now),
        "nodes": _delete_nodes(now - max(settings.PERIOD_RETENTION, settings.REVISION_RETENTION, settings.POD_RETENTION)),
    }


def _ended(model: type[Model], before: datetime) -> QuerySet:
    """Periods that ended before; that they also began before lets the index on their beginnings find them."""
    return model._default_manager.filter(period__startswith__lt=before, period__endswith__lt=before)


def _delete_findings(before: datetime) -> int:
    """Deletes findings that ended before, but for one that names an incident which lasted longer."""
    lasting = FindingRow.objects.filter(incident=OuterRef("pk")).exclude(pk=OuterRef("pk"))
    lasting = lasting.exclude(pk__in=_ended(FindingRow, before).values("pk"))
    return _delete(_ended(FindingRow, before).exclude(Exists(lasting)), refers="incident_id")


def _delete_nodes(before: datetime) -> int:
    """Deletes nodes that were removed before, with what is left of them: at that age only their last state is left."""
    total = 0
    while ids := list(Node.objects.filter(removed_at__lt=before).order_by().values_list("pk", flat=True)[:_NODE_BATCH]):
        total += Node.objects.filter(pk__in=ids).delete()[1].get("fleet.Node", 0)
    return total


def _told(before: datetime) -> dict[str, int]:
    """Messages that have ended, then notices that no message holds any more; what still waits stays, however old."""
    old = Delivery.objects.filter(created_at__lt=before, ended_at__isnull=False)
    _delete(DeliveryItem.objects.filter(delivery__in=old))
    return {
        "deliveries": _delete(old),
        "notices": _delete(Notice.objects.filter(at__lt=before, matched_at__isnull=False, items__isnull=True)),
    }


def _delete(rows: QuerySet, refers: str = "") -> int:
    """In batches, so that no transaction is long and no collection waits behind it.

    `refers` is the column by which rows of the table refer to others of it: it is emptied first.
    """
    delete, total = statement("DELETE FROM {table} WHERE id = ANY(%s)", table=rows.model), 0
    release = statement("UPDATE {table} SET {column} = NULL WHERE {column} = ANY(%s)", table=rows.model, column=refers or "id")
    while ids := list(rows.order_by().values_list("pk", flat=True)[:_BATCH]):
        with transaction.atomic(), connection.cursor() as cursor:
            if refers:
                cursor.execute(release, [ids])
            cursor.execute(delete, [ids])
            total += cursor.rowcount
    return total
