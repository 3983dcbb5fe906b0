"""The only writer of periods: ends the current one and begins the next at the same moment.

A period that would end at or before its own beginning does not exist: it is deleted, or overwritten by
its successor. Must run in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar, cast

from django.db import connection
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.db.models import Model, QuerySet

from fleet.models.statements import statement


class Period(Protocol):
    """A row with a period `[from, to)`."""

    pk: Any
    period: Any


P = TypeVar("P", bound=Model)
_BATCH = 1_000
_IDENTITY = ("id", "period")


def current(model: type[P], **scope: Any) -> QuerySet[P]:
    """Returns the periods that have not ended."""
    return model._default_manager.filter(period__endswith__isnull=True, **scope)


def close(model: type[Model], ids: Iterable[int], at: datetime) -> int:
    """Ends the current periods with these ids at `at` and returns how many there were."""
    wanted = list(ids)
    if not wanted:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(statement(_CLOSE, table=model), {"ids": wanted, "at": at})
        closed = cursor.rowcount
        if closed == len(wanted):
            return closed
        cursor.execute(statement(_DELETE_EMPTY, table=model), {"ids": wanted, "at": at})
        return closed + cursor.rowcount


def close_all(rows: QuerySet[Any], at: datetime) -> int:
    """The same for the current ones among `rows`."""
    return close(rows.model, rows.filter(period__endswith__isnull=True).order_by().values_list("pk", flat=True), at)


def open_new(rows: Sequence[P], at: datetime, *, ignore_conflicts: bool = False) -> None:
    """Begins these periods at `at`. Where the database refuses an overlap, `ignore_conflicts` leaves that one out."""
    if not rows:
        return
    for row in rows:
        _timed(row).period = DateTimeTZRange(at, None)
    type(rows[0])._default_manager.bulk_create(rows, batch_size=_BATCH, ignore_conflicts=ignore_conflicts)


def replace(changes: Iterable[tuple[P | None, P]], at: datetime) -> None:
    """Ends each current period at `at` and begins its successor then; where there is none (None), only begins one.

    A current period that began at `at` or later is overwritten and keeps its beginning.
    """
    ended: list[int] = []
    begun: list[P] = []
    overwritten: list[P] = []
    for before, after in changes:
        if before is not None and _timed(before).period.lower >= at:
            after.pk, _timed(after).period = before.pk, _timed(before).period
            overwritten.append(after)
            continue
        if before is not None:
            ended.append(before.pk)
        begun.append(after)
    sample = next(iter((*begun, *overwritten)), None)
    if sample is None:
        return
    close(type(sample), ended, at)
    update(overwritten, [field.name for field in sample._meta.concrete_fields if field.name not in _IDENTITY])
    open_new(begun, at)


def update(rows: Sequence[P], fields: Sequence[str]) -> None:
    """Writes columns of a period without ending it: a text, or a figure that begins no new one."""
    if rows:
        type(rows[0])._default_manager.bulk_update(rows, fields, batch_size=500)


def replace_all(rows: QuerySet[Any], at: datetime, *, same: Sequence[str], values: Mapping[str, str]) -> int:
    """Replaces every current period among `rows` by one with these texts that keeps the columns `same`, and returns how many.

    As `replace`, in a constant number of statements: for tens of thousands of rows that change alike.
    """
    ids = list(rows.filter(period__endswith__isnull=True).order_by().values_list("pk", flat=True))
    if not ids:
        return 0
    fields: dict[str, Any] = {"ids": ids, "at": at, **values}
    pairs = ", ".join(f'"{name}" = %({name})s' for name in values)
    names = ", ".join(f'"{name}"' for name in values)
    kept = ", ".join(f'"{name}"' for name in same)
    with connection.cursor() as cursor:
        cursor.execute(statement(_OVERWRITE, table=rows.model, pairs=pairs), fields)
        cursor.execute(statement(_CLOSE, table=rows.model), fields)
        values_sql = ", ".join(f"%({name})s" for name in values)
        cursor.execute(statement(_SUCCEED, table=rows.model, kept=kept, names=names, values=values_sql), fields)
    return len(ids)


def _timed(row: Model) -> Period:
    """The row as what every model handed in here is: one with a period."""
    return cast(Period, row)


_DELETE_EMPTY = "DELETE FROM {table} WHERE id = ANY(%(ids)s) AND lower(period) >= %(at)s"
_CLOSE = """
    UPDATE {table} SET period = tstzrange(lower(period), %(at)s)
    WHERE id = ANY(%(ids)s) AND upper(period) IS NULL AND lower(period) < %(at)s
"""
_OVERWRITE = "UPDATE {table} SET {pairs} WHERE id = ANY(%(ids)s) AND lower(period) >= %(at)s"
_SUCCEED = """
    INSERT INTO {table} ({kept}, period, {names})
    SELECT {kept}, tstzrange(%(at)s, NULL), {values} FROM {table} WHERE id = ANY(%(ids)s) AND upper(period) = %(at)s
"""
