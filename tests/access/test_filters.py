"""Every filter of every view hides something: taken away, one of these fails. And every column that is neutral there differs."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from django.db import connection
from psycopg import sql

from fleet.domain.people.scopes import Scope, scope_of
from fleet.models import Role, User, namespace_views, scope, scope_views
from tests.access.world import MARK, half, rest_of_the_tables, roll_up, share_nodes
from tests.factories import a_user

pytestmark = pytest.mark.django_db
ONLY_OF_THE_DATABASE = ("fleet_auditlink", "fleet_auditday")
"""Which makes their rows when a transaction ends, or refuses them: their conditions are looked at instead."""
WRITTEN_BY_NO_ONE = ("fleet_node.info",)
"""Columns that the next release drops: their default is in every row."""
OF_NAMESPACES = {**scope_views.ROWS, **namespace_views.ROWS}
HIDDEN_OF_NAMESPACES = {**scope_views.HIDDEN, **namespace_views.HIDDEN}


@pytest.fixture
def reader() -> User:
    """A member of the seen half's team, beside a hidden half that reaches into the seen one."""
    user = a_user("reader", Role.ADMIN)
    seen, hidden = half("seen", 4, user), half(MARK, 5)
    rest_of_the_tables(seen, hidden)
    share_nodes(seen, MARK)
    roll_up()
    return user


@pytest.mark.parametrize("limit", ["cluster:seen-cluster", "pool:seen-pool", "namespace:seen-space"])
def test_every_filter_hides_something(reader: User, limit: str) -> None:
    limited = scope_of([limit], user=reader.pk)
    assert limited is not None
    rows = OF_NAMESPACES if limited.namespaces else scope_views.ROWS
    assert {rows[table] for table in ONLY_OF_THE_DATABASE} == {scope_views.NOTHING}
    filtered = [table for table, condition in rows.items() if condition != scope_views.EVERYTHING]
    filtered = [table for table in filtered if table not in ONLY_OF_THE_DATABASE]
    every, seen = counts(filtered, None), counts(filtered, limited)
    assert {table: number for table, number in seen.items() if number >= every[table]} == {}, "hides nothing"


@pytest.mark.parametrize(
    ("limit", "hidden"), [("pool:seen-pool", scope_views.HIDDEN), ("namespace:seen-space", HIDDEN_OF_NAMESPACES)]
)
def test_every_neutral_column_differs(reader: User, limit: str, hidden: Mapping[str, Mapping[str, str]]) -> None:
    limited = scope_of([limit], user=reader.pk)
    same = [f"{table}.{column}" for table, columns in hidden.items() for column in columns if not differs(table, column, limited)]
    assert [name for name in same if name not in WRITTEN_BY_NO_ONE] == []


def counts(tables: list[str], limited: Scope | None) -> dict[str, int]:
    with scope.entered(limited), connection.cursor() as cursor:
        result = {}
        for table in tables:
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))
            result[table] = cursor.fetchone()[0]
        return result


def differs(table: str, column: str, limited: Scope | None) -> bool:
    """Whether the column is another in the view than in the table, of any row that is seen."""
    query = sql.SQL("SELECT id, {}::text FROM {} ORDER BY id").format(sql.Identifier(column), sql.Identifier(table))
    read = []
    for entered in (limited, None):
        with scope.entered(entered), connection.cursor() as cursor:
            cursor.execute(query)
            read.append(dict(cursor.fetchall()))
    seen, every = read
    return any(every[key] != value for key, value in seen.items())
