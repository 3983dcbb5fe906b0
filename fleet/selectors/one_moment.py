"""One snapshot of the database for several queries, so that figures of one page agree while runs commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def one_moment() -> Iterator[None]:
    """Lets every query of the block see the database as it is at the first of them (PostgreSQL: REPEATABLE READ).

    Inside a transaction that has begun already its own isolation holds; a page for which nothing was asked so far (of people who
    are not signed in) needs none.
    """
    if connection.connection is None or connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield
