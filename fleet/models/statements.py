"""SQL that the ORM cannot express, composed of tables' own names and of parts written in this code."""

from __future__ import annotations

from django.db.models import Model
from psycopg import sql


def statement(text: str, **parts: type[Model] | str) -> str:
    """Returns `text` with each `{name}` replaced by a model's table, quoted, or by another piece of SQL.

    Values never come in here: they are parameters of the statement.
    """
    composed = {
        name: sql.SQL(part) if isinstance(part, str) else sql.Identifier(part._meta.db_table) for name, part in parts.items()
    }
    return sql.SQL(text).format(**composed).as_string(None)
