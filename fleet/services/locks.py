"""One pass over one cluster at a time, whichever worker: a Postgres advisory lock that dies with its connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

_COLLECTION = 7001


@contextmanager
def collection_lock(cluster_id: int) -> Iterator[bool]:
    """Yields whether the lock was got; never waits. Needs a connection of its own, not a transaction-pooled one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [_COLLECTION, cluster_id])
        (got,) = cursor.fetchone()
    try:
        yield got
    finally:
        # A connection that broke on the way has freed the lock itself, and has no cursor to give.
        if got and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_COLLECTION, cluster_id])
