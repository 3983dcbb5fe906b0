"""Databases that Muster refuses, each with a sentence that states the fix."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.backends.utils import CursorWrapper

from fleet.embedded import fitness
from fleet.embedded.processes import StartError

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

pytestmark = pytest.mark.django_db


def test_a_database_with_every_migration_is_accepted() -> None:
    fitness.refuse_unfit(connection)


@pytest.mark.parametrize("applied", [["0001_first"], ["0001_initial"], ["0001_initial", "0005_people"]])
def test_a_database_that_stopped_before_the_squash_is_refused(applied: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'fleet'")
        for name in applied:
            cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('fleet', %s, now())", [name])
    with pytest.raises(StartError, match="Set MUSTER_HOME to a new folder"):
        fitness.refuse_unfit(connection)


def test_a_database_without_tables_of_muster_is_accepted() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'fleet'")
    fitness.refuse_unfit(connection)


class _Older:
    """A cursor of a server with another version number; all else is asked of the database of the tests."""

    def __init__(self, cursor: CursorWrapper, number: int) -> None:
        self.asked: list[str] = []
        self._cursor, self._number = cursor, number

    def cursor(self) -> AbstractContextManager[_Older]:
        return nullcontext(self)

    def execute(self, query: str) -> None:
        self.asked.append(query)
        self._cursor.execute(query.replace("current_setting('server_version_num')", f"'{self._number}'"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


@pytest.mark.parametrize(("number", "version"), [(140_022, 14), (130_018, 13), (90_624, 9), (150_000, None)])
def test_postgres_14_and_older_are_refused_before_anything_else_is_asked(number: int, version: int | None) -> None:
    """No package of the tests has such a server: the numbers are `server_version_num` of 14.22, 13.18, 9.6.24 and 15.0."""
    with connection.cursor() as cursor:
        older = _Older(cursor, number)
        if version is None:
            fitness.refuse_unfit(cast("BaseDatabaseWrapper", older))
            return
        with pytest.raises(StartError) as refused:
            fitness.refuse_unfit(cast("BaseDatabaseWrapper", older))
    assert str(refused.value) == f"The database is Postgres {version}. Muster needs Postgres 15 or newer: upgrade the server."
    assert len(older.asked) == 1


def test_an_old_postgres_is_refused(monkeypatch: Any) -> None:
    monkeypatch.setattr(fitness, "OLDEST_POSTGRES", 99)
    with pytest.raises(StartError, match=r"The database is Postgres \d+. Muster needs Postgres 99 or newer: upgrade the server."):
        fitness.refuse_unfit(connection)


def test_an_old_postgres_is_not_migrated_either(monkeypatch: Any) -> None:
    """Compose and the chart migrate in a container of their own, where no `manage.py run` looks at the server first."""
    monkeypatch.setattr(fitness, "OLDEST_POSTGRES", 99)
    with pytest.raises(CommandError, match=r"^The database is Postgres \d+. Muster needs Postgres 99 or newer"):
        call_command("migrate", verbosity=0)
