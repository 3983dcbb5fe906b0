from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from fleet.models import CollectionRun, FindingRow, NodeRevision, Pod, Silence, User
from fleet.services.retention import drop_old
from tests.factories import NOON, a_critical_finding, a_node, a_pod, a_run

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
    assert {name: count for name, count in drop_old(NOON).items() if count} == {"runs": 1, "pods": 1, "revisions": 1}
    assert CollectionRun.objects.count() == 1
    assert Pod.objects.get().name == "alive"
    assert NodeRevision.objects.get().period.upper is None


def test_findings_and_silences_last_as_long_as_the_history(operator: User) -> None:
    node, age = a_node("n1"), settings.PERIOD_RETENTION
    a_critical_finding(node, rule="old", opened=NOON - age - 3 * DAY, resolved=NOON - age - DAY)
    a_critical_finding(node, rule="kept", opened=NOON - age - 3 * DAY, resolved=NOON - age + DAY)
    a_critical_finding(node, rule="stands", opened=NOON - 5000 * DAY)
    for until in (NOON - age - DAY, NOON - DAY, NOON + DAY):
        Silence.objects.create(rule="x", reason="x", by=operator, created_at=NOON - 2 * age, until=until)
    dropped = drop_old(NOON)
    assert (dropped["findings"], dropped["silences"]) == (1, 1)
    assert {row.rule for row in FindingRow.objects.all()} == {"kept", "stands"}


def test_the_current_state_is_kept_however_old() -> None:
    node = a_node("n1")
    NodeRevision.objects.create(node=node, period=DateTimeTZRange(NOON - 5000 * DAY, None), facts={})
    assert drop_old(NOON)["revisions"] == 0
