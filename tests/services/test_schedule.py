from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.db import connection

from fleet.models import Cluster, CollectionRun
from fleet.services import schedule
from tests.factories import NOON

SECOND = timedelta(seconds=1)


@pytest.mark.django_db
def test_a_cluster_is_due_once_an_interval() -> None:
    cluster = Cluster.objects.create(name="east")
    assert schedule.take_due(NOON) == [cluster.pk]
    schedule.start_turn(cluster.pk, NOON)
    assert schedule.take_due(NOON + settings.COLLECT_INTERVAL - SECOND) == []
    assert schedule.take_due(NOON + settings.COLLECT_INTERVAL) == [cluster.pk]


@pytest.mark.django_db
def test_a_pass_that_still_waits_is_not_enqueued_again_until_its_message_has_expired() -> None:
    cluster = Cluster.objects.create(name="east")
    schedule.take_due(NOON)
    assert schedule.take_now("east", NOON + SECOND) is None
    assert schedule.take_due(NOON + settings.COLLECT_INTERVAL) == [cluster.pk]


@pytest.mark.django_db
def test_the_least_recently_read_cluster_comes_first_and_one_never_read_before_all() -> None:
    late = Cluster.objects.create(name="a", read_at=NOON - 60 * SECOND)
    later = Cluster.objects.create(name="b", read_at=NOON - 600 * SECOND)
    never = Cluster.objects.create(name="c")
    assert schedule.take_due(NOON) == [never.pk, later.pk, late.pk]


@pytest.mark.django_db
def test_a_clock_that_was_two_hours_ahead_once_stops_nothing() -> None:
    cluster = Cluster.objects.create(name="east", section_read_at={"pods": "x"})
    assert schedule.take_due(NOON + timedelta(hours=2)) == [cluster.pk]
    assert schedule.take_due(NOON) == [cluster.pk]
    schedule.start_turn(cluster.pk, NOON)
    Cluster.objects.update(next_telemetry_at=NOON + timedelta(hours=2))
    assert schedule.take_due_telemetry(NOON) == [cluster.pk]


@pytest.mark.django_db
def test_a_turn_exactly_one_interval_ahead_is_not_due() -> None:
    Cluster.objects.create(name="east", next_due_at=NOON + settings.COLLECT_INTERVAL)
    assert schedule.take_due(NOON) == []


@pytest.mark.django_db
def test_a_cluster_that_is_no_longer_configured_is_never_due() -> None:
    Cluster.objects.create(name="east", removed_at=NOON)
    assert schedule.take_due(NOON) == []


@pytest.mark.django_db(transaction=True)
def test_many_beats_at_once_enqueue_each_cluster_once() -> None:
    for number in range(20):
        Cluster.objects.create(name=f"c{number}")
    taken: list[int] = []
    start = threading.Barrier(4)

    def beat() -> None:
        start.wait()
        for _ in range(5):
            taken.extend(schedule.take_due(NOON))
        connection.close()

    threads = [threading.Thread(target=beat) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 20


def start_next(now: datetime) -> int | None:
    with schedule.next_turn(now) as turn:
        return turn.cluster_id if turn else None


@pytest.mark.django_db
def test_a_message_is_for_the_least_recently_read_cluster_that_waits_when_it_is_taken() -> None:
    late = Cluster.objects.create(name="a", read_at=NOON - 60 * SECOND)
    schedule.take_due(NOON)
    later = Cluster.objects.create(name="b", read_at=NOON - 600 * SECOND)
    schedule.take_due(NOON + 5 * SECOND)
    assert [start_next(NOON + 6 * SECOND) for _ in range(3)] == [later.pk, late.pk, None]


@pytest.mark.django_db
def test_a_run_that_begins_late_is_overdue_until_then_and_late_ones_are_not_made_up_for() -> None:
    cluster = Cluster.objects.create(name="a", next_due_at=NOON)
    interval = settings.COLLECT_INTERVAL
    for moment in (NOON, NOON + interval, NOON + 3 * interval):
        schedule.take_due(moment)
        cluster.refresh_from_db()
        assert cluster.next_due_at == NOON, "it has not begun"
    assert start_next(NOON + 3 * interval) == cluster.pk
    cluster.refresh_from_db()
    assert (cluster.next_due_at, cluster.queued_at) == (NOON + 4 * interval, None)


@pytest.mark.django_db
def test_seconds_in_the_queue_do_not_stretch_the_rhythm() -> None:
    cluster = Cluster.objects.create(name="a", next_due_at=NOON)
    schedule.take_due(NOON + 3 * SECOND)
    start_next(NOON + 4 * SECOND)
    cluster.refresh_from_db()
    assert cluster.next_due_at == NOON + settings.COLLECT_INTERVAL


@pytest.mark.django_db(transaction=True)
def test_clusters_in_trouble_take_one_place_and_leave_the_workers_to_the_others() -> None:
    troubled = [Cluster.objects.create(name=f"ill{n}", troubled_runs=1).pk for n in range(3)]
    healthy = [Cluster.objects.create(name=f"ok{n}", read_at=NOON - SECOND).pk for n in range(2)]
    schedule.take_due(NOON)
    taken: list[list[int | None]] = []

    def another_worker() -> None:
        taken.append([start_next(NOON) for _ in range(3)])
        connection.close()

    with schedule.next_turn(NOON) as turn:
        assert turn is not None
        assert (turn.cluster_id in troubled, turn.is_slow_lane) == (True, True)
        worker = threading.Thread(target=another_worker)
        worker.start()
        worker.join()
    assert taken == [[*healthy, None]], "no second place for the other two"
    assert start_next(NOON) in troubled


@pytest.mark.django_db
@pytest.mark.parametrize(("troubled_runs", "usual_s", "seconds"), [(1, 0, 15), (3, 0, 15), (4, 0, 60), (1, 30, 45), (1, 50, 60)])
def test_the_deadline_of_a_cluster_in_trouble_is_short_but_not_shorter_than_it_needs(
    troubled_runs: int, usual_s: int, seconds: int
) -> None:
    cluster = Cluster.objects.create(name="a", troubled_runs=troubled_runs)
    if usual_s:
        finished = NOON + usual_s * SECOND
        CollectionRun.objects.create(cluster=cluster, trigger="cli", started_at=NOON, finished_at=finished, outcome="ok")
    assert schedule.deadline_of(cluster) == seconds


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("outcome", "took_s", "troubled_runs"),
    [("ok", 29.9, 0), ("ok", 30, 3), ("failed", 0, 3), ("partial", 14.9, 0), ("partial", 15, 3)],
)
def test_trouble_is_a_failure_or_a_run_that_holds_its_worker_for_long(outcome: str, took_s: float, troubled_runs: int) -> None:
    cluster = Cluster.objects.create(name="a", troubled_runs=2)
    run = CollectionRun(cluster=cluster, started_at=NOON, finished_at=NOON + took_s * SECOND, outcome=outcome)
    schedule.note_run(cluster, run)
    cluster.refresh_from_db()
    assert cluster.troubled_runs == troubled_runs


@pytest.mark.django_db
@pytest.mark.parametrize(("ends_in", "due"), [(1, False), (900, False), (901, True), (0, True)])
def test_a_paused_cluster_is_due_when_its_pause_ends_or_was_written_by_a_clock_ahead(ends_in: int, due: bool) -> None:
    cluster = Cluster.objects.create(name="a", paused_until=NOON + ends_in * SECOND)
    assert schedule.take_due(NOON) == ([cluster.pk] if due else [])
