"""Refuses a database that Muster cannot use, before anything in it is changed."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from fleet.embedded.processes import StartError

OLDEST_POSTGRES = 15
# The last of the migrations that 0001_initial replaces. Django records it for a new database, too.
LAST_REPLACED_MIGRATION = "0006_own_faults"


def refuse_old(connection: BaseDatabaseWrapper) -> None:
    """Raises StartError for a Postgres that is too old. Its migrations would run there, and say nothing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int / 10000")
        (version,) = cursor.fetchone()
    if version < OLDEST_POSTGRES:
        raise StartError(
            f"The database is Postgres {version}. Muster needs Postgres {OLDEST_POSTGRES} or newer: upgrade the server."
        )


def refuse_unfit(connection: BaseDatabaseWrapper) -> None:
    """Raises StartError for a Postgres that is too old, and for tables of Muster that its migrations cannot upgrade."""
    refuse_old(connection)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('django_migrations') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return
        cursor.execute("SELECT name FROM django_migrations WHERE app = 'fleet'")
        applied = {name for (name,) in cursor.fetchall()}
        if applied and LAST_REPLACED_MIGRATION not in applied:
            raise StartError(
                "This database was created by an early development version of Muster and cannot be upgraded. "
                "Set MUSTER_HOME to a new folder (or DATABASE_URL to a new database) and start again."
            )
