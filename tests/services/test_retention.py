from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from fleet.models import CollectionRun, FindingRow, NodeDay, NodeRevision, Pod, RungPeriod, VerdictPeriod
from fleet.services.retention import drop_old
from tests.factories import NOON, a_node, a_pod, a_run

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def test_what_is_past_its_age_goes_and_the_rest_stays() -> None:
    node = a_node("n1")
    a_run(started_at=NOON - settings.RUN_RETENTION - DAY)
    a_run(started_at=NOON)
    a_pod(node, "old", removed_at=NOON - settings.POD_RETENTION - DAY)
    a_pod(node, "alive")
    start = NOON - settings.REVISION_RETENTION - 3 * DAY
    NodeRevision.objects.create(node=node, period=DateTimeTZRange(start, start + DAY), facts={})
    NodeRevision.objects.create(node=node, period=DateTimeTZRange(start + DAY, None), facts={})
    for ended in (DAY, -3000 * DAY):
        period = DateTimeTZRange(NOON - settings.PERIOD_RETENTION - 3 * DAY, NOON - settings.PERIOD_RETENTION - ended)
        row = VerdictPeriod(node=a_node(), verdict="ready", period=period)
        row.save()
        RungPeriod(node=row.node, rung="cuda_works", status="pass", period=period).save()
        FindingRow(node=row.node, rule="xid", severity="fatal", text="Xid 79.", period=period).save()
    NodeDay.objects.create(node=node, cluster_id=1, day=(NOON - settings.PERIOD_RETENTION - DAY).date())
    NodeDay.objects.create(node=node, cluster_id=1, day=NOON.date())
    gone = {name: count for name, count in drop_old(NOON).items() if count}
    assert gone == {"runs": 1, "pods": 1, "revisions": 1, "verdicts": 1, "rungs": 1, "findings": 1, "days": 1}
    assert CollectionRun.objects.count() == 1
    assert Pod.objects.get().name == "alive"
    assert NodeRevision.objects.get().period.upper is None


def test_the_present_truth_is_kept_however_old() -> None:
    node = a_node("n1")
    NodeRevision.objects.create(node=node, period=DateTimeTZRange(NOON - 5000 * DAY, None), facts={})
    assert drop_old(NOON)["revisions"] == 0
