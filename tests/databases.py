"""A second database on the tests' own server, and this process turned to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
from django.db import connection
from psycopg import sql


def address(database: str) -> dict[str, str]:
    """Returns what libpq needs to reach a database of the tests' server."""
    facts = connection.settings_dict
    return {"host": facts["HOST"], "port": str(facts["PORT"] or 5432), "user": facts["USER"], "dbname": database}


@contextlib.contextmanager
def empty_database(name: str) -> Iterator[str]:
    """Makes a database with no table in it, and drops it afterwards."""
    with psycopg.connect(**address("postgres"), autocommit=True) as server:
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        server.execute(drop)
        server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        try:
            yield name
        finally:
            server.execute(drop)


@contextlib.contextmanager
def turned_to(name: str) -> Iterator[None]:
    """Turns the ORM to another database of the server."""
    own = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = own
