"""Two passes that need the same hour's partition at once: one makes it, the other sees it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from threading import Thread

import pytest
from django.db import connection, transaction

from fleet.services import locks
from fleet.services.recording import frames

AT = datetime(2031, 5, 6, 7, 8, tzinfo=UTC)


@pytest.mark.django_db(transaction=True)
def test_a_waiting_worker_sees_the_partition_created_by_another() -> None:
    failures: list[BaseException] = []

    def other() -> None:
        try:
            with transaction.atomic():
                frames._make_partition(AT)
        except BaseException as failure:  # noqa: BLE001 - handed to the test
            failures.append(failure)
        finally:
            connection.close()

    late = Thread(target=other)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [locks.PARTITIONS])
        late.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        for _ in range(1000):
            cursor.execute(waiting)
            if cursor.fetchone()[0]:
                break
            time.sleep(0.01)
        else:
            pytest.fail("the other pass never waited")
        frames._make_partition(AT)
    late.join()
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {frames._name(AT.replace(minute=0))}")
    assert failures == []
