"""Faults of Muster itself, and the exact point at which each is shown."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from fleet.models import DataCheck
from fleet.selectors.muster import alarms
from tests import factories
from tests.factories import NOON, a_node
from tests.selectors.test_metrics import scrape

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


def a_cluster(name: str = "east", **fields: Any) -> Any:
    return factories.a_cluster(name, **{"taken_at": NOON, **fields})


def texts() -> dict[str, str]:
    return {alarm.id: alarm.text for alarm in alarms.alarms(NOON)}


def test_nothing_is_wrong_with_a_fresh_fleet() -> None:
    a_cluster(next_due_at=NOON, clock_ahead_s=1.0, taken_at=NOON)
    a_cluster("west", next_due_at=None)
    assert texts() == {}


@pytest.mark.parametrize(("late_s", "alarmed"), [(60, False), (61, True)])
def test_a_run_overdue_by_more_than_an_interval_is_an_alarm(late_s: int, alarmed: bool) -> None:
    assert settings.COLLECT_INTERVAL == 60 * SECOND
    a_cluster(next_due_at=NOON - late_s * SECOND)
    a_cluster("west", next_due_at=NOON)
    expected = "Workers do not keep up: 1 of 2 clusters are overdue, the longest by 1 min."
    assert texts() == ({"workers": expected} if alarmed else {})


def test_where_nothing_begins_at_all_the_workers_are_not_slow_but_away() -> None:
    for name, minutes in (("east", 3), ("west", 5)):
        a_cluster(name, next_due_at=NOON - timedelta(minutes=minutes))
    (alarm,) = alarms.alarms(NOON)
    assert alarm.text == "No collection run has begun for 5 min: no worker is running, or beat is not."
    assert alarm.clusters == ("west", "east")


def test_clusters_in_trouble_and_paused_ones_say_nothing_of_the_workers() -> None:
    a_cluster(next_due_at=NOON - timedelta(hours=1), troubled_runs=1)
    a_cluster("west", next_due_at=NOON - timedelta(hours=1), paused_until=NOON + SECOND)
    assert texts() == {}


@pytest.mark.parametrize(("ahead_s", "alarmed"), [(30, False), (31, True)])
def test_data_from_the_future_means_that_the_clock_was_set_back(ahead_s: int, alarmed: bool) -> None:
    a_cluster(taken_at=NOON + ahead_s * SECOND)
    expected = "The clock was set back: the newest data is from 31 s ahead. Ages and durations are wrong until then."
    assert texts() == ({"clock": expected} if alarmed else {})


@pytest.mark.parametrize(
    ("ahead_s", "text"),
    [
        (30, None),
        (-7_200, "Clocks differ: Muster's is 2 h 0 min ahead of that of 1 of 2 API servers. Synchronise them (NTP)."),
        (90, "Clocks differ: Muster's is 1 min behind that of 1 of 2 API servers. Synchronise them (NTP)."),
    ],
)
def test_a_clock_that_differs_from_an_api_servers_is_an_alarm(ahead_s: float, text: str | None) -> None:
    a_cluster(clock_ahead_s=ahead_s)
    a_cluster("west", clock_ahead_s=0.0)
    assert texts() == ({"clock": text} if text else {})


def test_contradictory_data_is_an_alarm_until_a_check_passes() -> None:
    checked = DataCheck.objects.create(at=NOON, took_ms=5, count=2, breaches=["a", "b"])
    assert texts()["data"].startswith("The data contradicts itself: 2 breaches at ")
    checked.count = 0
    checked.save()
    assert texts() == {}


def test_many_names_are_cut() -> None:
    assert alarms.Alarm("workers", "", ("a", "b", "c", "d", "e")).names == "a, b, c and 2 more"


@pytest.mark.django_db(transaction=True)
def test_an_alarm_is_on_every_page_in_metrics_and_in_readyz_without_names(reader: Any, client: Any, settings: Any) -> None:
    a_node(cluster=a_cluster("east", next_due_at=timezone.now() - timedelta(minutes=5), clock_ahead_s=7_200.0))
    for page in ("/", "/nodes/", "/findings/"):
        content = reader.get(page).content.decode()
        assert 'data-alarm="workers"' in content
        assert 'data-alarm="clock"' in content
    metrics = scrape(client)
    assert metrics["muster_clusters_overdue"][()] == 1
    assert metrics["muster_cluster_clock_ahead_seconds"]["east",] == 7_200
    assert metrics["muster_clock_behind_data_seconds"][()] == 0
    settings.METRICS_TOKEN = "a-token"
    ready = client.get("/readyz").json()
    assert ready["warnings"] == dict.fromkeys(("workers", "clock"), "Details require the token.")
    detailed = client.get("/readyz", HTTP_AUTHORIZATION="Bearer a-token").json()
    assert "for 5 min" in detailed["warnings"]["workers"]
    assert "east" not in str(detailed["warnings"])
