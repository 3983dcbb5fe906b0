"""One worker at a time at one job, whichever worker: Postgres advisory locks, which die with their connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from django.db import connection

_COLLECTION, _PROMISES, MATCHING, PARTITIONS = 7001, 7002, 7003, 7004
"""Kinds of job. The last two are held for the length of a transaction, by whoever takes them."""


def collection_lock(cluster_id: int) -> AbstractContextManager[bool]:
    """Held while a cluster is read and recorded."""
    return _lock(_COLLECTION, cluster_id)


def promise_lock() -> AbstractContextManager[bool]:
    """Held while pools and classes are judged over the whole fleet."""
    return _lock(_PROMISES, 0)


@contextmanager
def _lock(kind: int, number: int) -> Iterator[bool]:
    """Yields whether the lock was got; never waits. Needs a connection of its own, not a transaction-pooled one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [kind, number])
        (got,) = cursor.fetchone()
    try:
        yield got
    finally:
        # A connection that broke on the way has freed the lock itself, and has no cursor to give.
        if got and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [kind, number])
