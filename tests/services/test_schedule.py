from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection

from fleet.models import Cluster
from fleet.services import schedule
from tests.factories import NOON

SECOND = timedelta(seconds=1)


@pytest.mark.django_db
def test_a_cluster_is_due_once_an_interval() -> None:
    cluster = Cluster.objects.create(name="east")
    assert schedule.take_due(NOON) == [cluster.pk]
    schedule.start_turn(cluster.pk)
    assert schedule.take_due(NOON + settings.COLLECT_INTERVAL - SECOND) == []
    assert schedule.take_due(NOON + settings.COLLECT_INTERVAL) == [cluster.pk]


@pytest.mark.django_db
def test_a_pass_that_still_waits_is_not_enqueued_again_until_its_message_has_expired() -> None:
    cluster = Cluster.objects.create(name="east")
    schedule.take_due(NOON)
    assert schedule.take_now("east", NOON + SECOND) is None
    assert schedule.take_due(NOON + settings.COLLECT_INTERVAL) == [cluster.pk]


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
