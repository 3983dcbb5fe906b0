"""Data written at every state of the migrations survives all later ones.

One row is written to every table at each state, from the fields of that state alone: a new migration is covered as it is added.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, models, transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from tests.databases import empty_database, turned_to

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
BY_THE_DATABASE = {"auditlink", "auditday"}
"""Tables to which only the database's own functions append."""
RENAMED: dict[tuple[str, str], str] = {}
"""(table, column) to its later name; None of those that a migration removes on purpose need to be here: they are not compared."""


def states() -> list[tuple[str, str]]:
    """Returns the migrations of Muster, in the order in which a new installation applies them."""
    loader = MigrationLoader(connection)
    plan = loader.graph.forwards_plan(loader.graph.leaf_nodes("fleet")[0])
    return [node for node in plan if node[0] == "fleet"]


def value_of(field: models.Field[Any, Any], number: int) -> Any:
    """Returns a value that the field accepts, another one for each number."""
    if field.choices:
        return field.choices[0][0]
    at = NOON + dt.timedelta(days=number)
    name = type(field).__name__
    match name:
        case "DateTimeField":
            return at
        case "DateField":
            return at.date()
        case "TimeField":
            return at.time()
        case "DateTimeRangeField":
            return DateTimeTZRange(at, at + dt.timedelta(hours=1))
        case "BooleanField":
            return True
        case "JSONField" | "FactsField":
            return field.get_default() if field.has_default() else {}
        case "ArrayField":
            return [value_of(field.base_field, number)]
        case "UUIDField":
            return uuid.UUID(int=number + 1)
        case "BinaryField":
            return b"%d" % number
        case "DurationField":
            return dt.timedelta(seconds=number + 1)
        case "GenericIPAddressField":
            return f"192.0.2.{number + 1}"
        case "FloatField" | "DecimalField":
            return number + 0.5
    if "Integer" in name:
        return number + 1
    if isinstance(field, models.CharField | models.TextField):
        return f"v{number}"[: field.max_length or 10]
    raise AssertionError(f"{field}: no value for a {name}; add one here.")


def write(apps: Any, number: int) -> None:
    """Writes a row to every table of Muster as it is in this state."""
    made: dict[str, models.Model] = {}

    def make(model: type[models.Model]) -> models.Model:
        label = model._meta.label_lower
        if label not in made:
            values: dict[str, Any] = {}
            for field in model._meta.concrete_fields:
                if isinstance(field, models.ForeignKey):
                    # by its name: the class that the relation holds may be that of an earlier state
                    related = apps.get_model(field.related_model._meta.label_lower)
                    if related._meta.label_lower != label and not (field.null and related._meta.label_lower in pending):
                        pending.add(label)
                        values[field.attname] = make(related).pk
                elif not (field.primary_key and isinstance(field, models.AutoField)):
                    values[field.name] = value_of(field, number)
            made[label] = model._default_manager.create(**values)
        return made[label]

    for model in apps.get_app_config("fleet").get_models():
        if model._meta.model_name not in BY_THE_DATABASE and model._meta.managed:
            pending: set[str] = set()
            make(model)


def contents() -> dict[tuple[str, str], dict[str, str]]:
    """Returns table and primary key to the row as text by column, for every table of Muster."""
    rows = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relname LIKE 'fleet\\_%' AND NOT relispartition"
        )
        for (table,) in cursor.fetchall():
            key = connection.introspection.get_primary_key_columns(cursor, table)
            cursor.execute(f'SELECT to_jsonb(t) FROM "{table}" t')
            for (row,) in cursor.fetchall():
                row = json.loads(row) if isinstance(row, str) else row
                rows[table, str([row[column] for column in key or ()])] = row
    return rows


@pytest.mark.django_db(transaction=True)
def test_rows_written_at_every_state_survive_all_later_migrations() -> None:
    expected: dict[tuple[str, str], dict[str, str]] = {}
    with empty_database("muster_upgraded") as name, turned_to(name):
        for number, state in enumerate(states()):
            executor = MigrationExecutor(connection)
            apps = executor.migrate([state]).apps
            with transaction.atomic():
                write(apps, number)
            expected = {**contents(), **expected}
            tables = {table for table, _ in expected}
            assert len(tables) > 20
        call_command("migrate", verbosity=0, interactive=False)
        after = contents()
        call_command("migrate", verbosity=0, interactive=False, check_unapplied=True)
    assert set(expected) - set(after) == set()
    for place, row in expected.items():
        changed = {
            column: (value, after[place][RENAMED.get((place[0], column), column)])
            for column, value in row.items()
            if RENAMED.get((place[0], column), column) in after[place]
            and after[place][RENAMED.get((place[0], column), column)] != value
        }
        assert not changed, (place, changed)
