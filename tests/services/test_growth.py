"""Every table that grows by itself has a retention, and the database of many months is no larger than that of a few."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.db import connection
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from model_bakery import baker

from fleet.models import Cluster, Delivery, DeliveryItem, FindingRow, Node, Notice, User
from fleet.services.retention import DROPPED, KEPT, UNUSED, drop_old
from tests.factories import NOON, a_cluster, a_critical_finding, a_delivery, a_node

DAY = timedelta(days=1)
MONTHS = 10
ROOT = Path(__file__).parents[2]


def test_every_table_has_a_retention_or_a_reason() -> None:
    tables = {model._meta.label for model in apps.get_models(include_auto_created=True)}
    assert tables == {*DROPPED, *KEPT, *UNUSED}
    assert not (set(DROPPED) & set(KEPT)) | (set(DROPPED) & UNUSED) | (set(KEPT) & UNUSED)


def test_every_age_is_a_documented_setting_and_every_table_is_in_the_documentation() -> None:
    documented = (ROOT / ".env.example").read_text()
    for name in re.findall(r"MUSTER_[A-Z_]+", " ".join(DROPPED.values())):
        assert f"\n{name}=" in documented, name
    page = (ROOT / "docs/operations.md").read_text()
    for ages in set(DROPPED.values()):
        assert all(name in page for name in re.findall(r"MUSTER_[A-Z_]+", ages)), ages


def month_of(cluster: Cluster, user: User, at: datetime) -> None:
    """A row in every table that grows, as it is left behind a day after `at`."""
    node = a_node(f"n{at:%Y%m%d}", cluster, first_seen_at=at, removed_at=at + DAY)
    period = DateTimeTZRange(at, at + DAY)
    for label in ("VerdictPeriod", "RungPeriod", "NodeRevision", "PoolMembership"):
        baker.make(f"fleet.{label}", node=node, period=period, **({"facts": {}} if label == "NodeRevision" else {}))
    baker.make("fleet.CompliancePeriod", kind="pool", slug="h100", period=period, violations=[])
    baker.make("fleet.CollectionRun", cluster=cluster, started_at=at, finished_at=at)
    baker.make("fleet.Pod", node=node, cluster=cluster, created_at=at, removed_at=at + DAY)
    baker.make("fleet.Silence", node=node, cluster=cluster, by=user, created_at=at, until=at + DAY)
    baker.make("fleet.XidBurstRow", node=node, started_at=at, last_at=at)
    baker.make("fleet.NodeDay", node=node, day=at.date())
    baker.make("fleet.FleetDay", day=at.date())
    baker.make("fleet.GpuHour", hour=at.replace(minute=0))
    baker.make("fleet.KeptForecast", cluster=cluster, by=user, created_at=at)
    baker.make("fleet.StrandedDay", day=at.date(), kind="pool", at=at)
    a_critical_finding(node, rule="xid", opened=at, resolved=at + DAY)
    for label in ("NodeResource", "Gpu"):
        baker.make(f"fleet.{label}", node=node)
    delivery = a_delivery(at=at, ended_at=at)
    Delivery.objects.filter(pk=delivery.pk).update(created_at=at)
    notice = baker.make(Notice, at=at, matched_at=at, node=node, cluster=cluster)
    if not DeliveryItem.objects.filter(delivery=delivery).exists():
        baker.make(DeliveryItem, delivery=delivery, rule=delivery.rule, notice=notice)
    baker.make("fleet.SignInLink", user=user, expires_at=at + DAY)
    baker.make("fleet.IdempotencyKey", user=user, at=at)
    baker.make("sessions.Session", session_key=f"s{at:%Y%m%d}", expire_date=at + DAY)
    baker.make("usersessions.UserSession", user=user, session_key=f"s{at:%Y%m%d}", ip="127.0.0.1", user_agent="x", data={})


ELSEWHERE = {
    "fleet.TelemetryFrame": "partitions, in tests/services/test_telemetry.py",
    "fleet.AuditEntry": "by the database's own clock, in tests/services/test_audit_chain.py",
    "fleet.AuditLink": "by the database's own clock, in tests/services/test_audit_chain.py",
}


@pytest.mark.django_db
def test_ten_months_leave_what_three_months_hold(settings: Any) -> None:
    """Ages of 60 days: of ten months, a month apart, the last two or three remain in every table."""
    for name in ("PERIOD", "REVISION", "RUN", "POD", "NOTICE"):
        setattr(settings, f"{name}_RETENTION", 60 * DAY)
    cluster, user = a_cluster(), User.objects.create(username="u")
    labels = [label for label in DROPPED if label not in ELSEWHERE]
    before: dict[str, int] = {}
    for month in range(MONTHS):
        at = NOON + 30 * month * DAY
        month_of(cluster, user, at)
        drop_old(at + 2 * DAY)
        if month == 3:
            before = {label: apps.get_model(label)._default_manager.count() for label in labels}
    after = {label: apps.get_model(label)._default_manager.count() for label in labels}
    assert after == before
    assert {label for label, count in after.items() if count > 3} == set()
    assert apps.get_model("fleet.Gpu")._default_manager.count() == Node.objects.count() <= 3


@pytest.mark.django_db
def test_an_incident_that_lasts_keeps_the_finding_that_names_it() -> None:
    age = django_settings.PERIOD_RETENTION
    node, other = a_node("n1"), a_node("n2")
    named = a_critical_finding(node, rule="cause", opened=NOON - age - 9 * DAY, resolved=NOON - age - DAY)
    lasts = a_critical_finding(other, rule="effect", opened=NOON - age - 9 * DAY)
    FindingRow.objects.filter(pk__in=(named.pk, lasts.pk)).update(incident=named)
    assert drop_old(NOON)["findings"] == 0
    FindingRow.objects.filter(pk=lasts.pk).update(period=DateTimeTZRange(NOON - age - 9 * DAY, NOON - age - DAY))
    assert drop_old(NOON)["findings"] == 2
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what refers to a finding that is gone is refused here


@pytest.mark.django_db
def test_a_removed_node_stays_as_long_as_anything_of_it_is_shown() -> None:
    age = max(django_settings.PERIOD_RETENTION, django_settings.REVISION_RETENTION)
    gone, kept = a_node("gone", removed_at=NOON - age - DAY), a_node("kept", removed_at=NOON - age + DAY)
    alive = a_node("alive", first_seen_at=NOON - 3 * age)
    assert drop_old(NOON)["nodes"] == 1
    assert set(Node.objects.values_list("pk", flat=True)) == {kept.pk, alive.pk} != {gone.pk}
