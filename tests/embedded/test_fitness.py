"""Databases that Muster refuses, each with a sentence that says what to do."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from fleet.embedded import fitness
from fleet.embedded.processes import StartError

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


def test_an_old_postgres_is_refused(monkeypatch: Any) -> None:
    monkeypatch.setattr(fitness, "OLDEST_POSTGRES", 99)
    with pytest.raises(StartError, match=r"The database is Postgres \d+. Muster needs Postgres 99 or newer: upgrade the server."):
        fitness.refuse_unfit(connection)
