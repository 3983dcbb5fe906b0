"""Migrations that the version before still works with: `migrate` runs while its web and workers do."""

from __future__ import annotations

import pytest
from django.db import connection, migrations, models
from django.db.migrations.state import ProjectState
from django_migration_linter import MigrationLinter

from fleet.models import Cluster

pytestmark = pytest.mark.django_db
HINT = "Give a new column db_default or null=True; drop and rename in the release after the one that stops using the old name."


def linter() -> MigrationLinter:
    return MigrationLinter(
        no_cache=True, include_apps=["fleet"], ignore_initial_migrations=True, quiet=["ok", "ignore", "warning"]
    )


def test_no_migration_breaks_the_version_before(capsys: pytest.CaptureFixture[str]) -> None:
    lint = linter()
    lint.lint_all_migrations()
    assert lint.nb_total >= 1
    assert not lint.has_errors, f"{capsys.readouterr().out}\n{HINT}"


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (migrations.RemoveField("cluster", "server"), "DROP_COLUMN"),
        (migrations.RenameField("cluster", "server", "address"), "RENAME_COLUMN"),
        (migrations.AddField("cluster", "rank", models.IntegerField(default=0)), "NOT_NULL"),
        (migrations.AddField("cluster", "rank", models.IntegerField(db_default=0)), None),
        (migrations.AddField("cluster", "rank", models.IntegerField(null=True)), None),
    ],
    ids=["drop", "rename", "default of Django only", "default of the database", "null"],
)
def test_the_linter_knows_what_breaks_it(operation: migrations.operations.base.Operation, code: str | None) -> None:
    before = ProjectState.from_apps(Cluster._meta.apps)
    after = before.clone()
    operation.state_forwards("fleet", after)
    with connection.schema_editor(collect_sql=True) as editor:
        operation.database_forwards("fleet", editor, before, after)
    analyser = linter().sql_analyser_class([])
    analyser.analyse(editor.collected_sql)
    assert [issue.code for issue in analyser.errors] == ([code] if code else [])
