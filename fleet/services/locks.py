"""One worker at a time at one job, whichever worker: Postgres advisory locks, which die with their connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from django.db import connection

_COLLECTION, _COMPLIANCE, MATCHING, PARTITIONS, _SLOW_LANE, _IDENTITY = 7001, 7002, 7003, 7004, 7005, 7006
"""Kinds of job. MATCHING, PARTITIONS and _IDENTITY are held for the length of a transaction."""


def collection_lock(cluster_id: int) -> AbstractContextManager[bool]:
    """Held while a cluster is read and recorded."""
    return _lock(_COLLECTION, cluster_id)


def compliance_lock() -> AbstractContextManager[bool]:
    """Held while pools and classes are evaluated over the whole fleet."""
    return _lock(_COMPLIANCE, 0)


def lock_identities() -> None:
    """Waits until no other transaction decides which contexts are one cluster; held until the current one ends.

    Taken before any row of a cluster: who locked all rows instead met runs that hold their own, each waiting for the other.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [_IDENTITY])


@contextmanager
def slow_lane(places: int) -> Iterator[bool]:
    """Yields whether one of so many places for clusters in trouble was free; it is held while the block lasts."""
    with ExitStack() as stack:
        yield any(stack.enter_context(_lock(_SLOW_LANE, place)) for place in range(places))


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
