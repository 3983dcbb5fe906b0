"""The scope of the current request: while it is entered, every query of the connection reads the views of scope_views.py.

Workers, commands and people without a limit enter none, and read the tables themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.core.signals import request_started
from django.db import DatabaseError, connection
from django.db.backends.postgresql.features import DatabaseFeatures
from django.db.backends.signals import connection_created
from django.db.models import Model

from fleet.domain.people.scopes import Scope, namespace_of

SCHEMA = "muster_limited"
SCHEMA_OF_NAMESPACES = "muster_namespaces"
"""Of people who are limited to namespaces: namespace_views.py."""
_CURRENT: ContextVar[Scope | None] = ContextVar("scope", default=None)


def current() -> Scope | None:
    """Returns the scope of the request; None for everything."""
    return _CURRENT.get()


def key() -> str:
    """Key that separates cached data of different scopes; empty for everything."""
    scope = _CURRENT.get()
    return "" if scope is None else scope.key


def enter(scope: Scope | None) -> None:
    """Limits every query until `leave`. It replaces the previous scope, narrower or wider."""
    leave()
    if scope is None:
        return
    # First, so that a connection made from here on begins limited, and an error below never ends unlimited.
    _CURRENT.set(scope)
    if connection.connection is None:
        connection.ensure_connection()  # connection_created applies it
    else:
        _apply(scope)


def leave() -> None:
    """Ends the scope. A connection that cannot be set back is closed."""
    if _CURRENT.get() is None:
        return
    _CURRENT.set(None)
    if connection.connection is None:
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("RESET search_path")
    except DatabaseError:
        connection.close()


def key_of(cluster: str) -> str:
    """The same for cached data of one cluster: everyone who sees the whole cluster shares it."""
    scope = _CURRENT.get()
    return "" if scope is None or (cluster in scope.clusters and not scope.namespaces) else scope.key


def hides_pods() -> bool:
    """Whether pods of nodes that are seen are hidden: what counts what they hold has to read them unscoped."""
    scope = _CURRENT.get()
    return scope is not None and bool(scope.namespaces)


@contextmanager
def entered(scope: Scope | None) -> Iterator[None]:
    """Enters `scope`, and restores the previous scope afterwards."""
    before = _CURRENT.get()
    enter(scope)
    try:
        yield
    finally:
        enter(before)


def unscoped() -> Any:
    """Reads and writes everything within a limited request. Each use states why."""
    return entered(None)


def _apply(scope: Scope) -> None:
    """One statement. Names become ids while the tables are still seen."""
    parts = [namespace_of(entry) for entry in sorted(scope.namespaces)]
    of_one = [part for part in parts if part[0]]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('muster.clusters', (SELECT coalesce(array_agg(id), '{}')::text FROM fleet_cluster"
            " WHERE name = ANY(%s)), false),"
            " set_config('muster.pools', (SELECT coalesce(array_agg(id), '{}')::text FROM fleet_pool"
            " WHERE slug = ANY(%s)), false),"
            " set_config('muster.whole_pools', (SELECT coalesce(array_agg(id), '{}')::text FROM fleet_pool"
            " WHERE slug = ANY(%s)), false),"
            " set_config('muster.within', (SELECT coalesce(array_agg(id), '{}')::text FROM fleet_cluster"
            " WHERE %s OR name = ANY(%s)), false),"
            " set_config('muster.user', %s, false),"
            " set_config('muster.namespaces', (SELECT coalesce(array_agg(entry), '{}')::text FROM (SELECT unnest(%s::text[])"
            " UNION SELECT cluster.id || '/' || named.namespace FROM unnest(%s::text[], %s::text[]) AS named(cluster, namespace)"
            " JOIN fleet_cluster cluster ON cluster.name = named.cluster) AS entries(entry)), false),"
            " set_config('muster.namespace_names', %s::text[]::text, false),"
            " set_config('muster.by_pods', %s, false),"
            # Nothing but the views: a table without one does not exist, rather than being open.
            " set_config('search_path', %s, false)",
            [
                list(scope.clusters),
                list(scope.pools),
                list(scope.pools) if scope.within is None else [],
                scope.within is None,
                list(scope.within or ()),
                str(scope.user),
                [name for cluster, name in parts if not cluster],
                [cluster for cluster, _ in of_one],
                [name for _, name in of_one],
                sorted(scope.namespace_names),
                str(scope.by_pods),
                SCHEMA_OF_NAMESPACES if scope.namespaces else SCHEMA,
            ],
        )


def _on_connection(**_: Any) -> None:
    scope = _CURRENT.get()
    if scope is not None:
        _apply(scope)


def _on_request(**_: Any) -> None:
    leave()  # a request before it ended in a way that left it entered


def _may_group_by_key(self: DatabaseFeatures, model: type[Model]) -> bool:
    """A view has no primary key that other columns depend on: within a scope Django names every column in GROUP BY."""
    return bool(model._meta.managed) and _CURRENT.get() is None


def connect() -> None:
    """Called once per process."""
    connection_created.connect(_on_connection, dispatch_uid="scope")
    request_started.connect(_on_request, dispatch_uid="scope")
    DatabaseFeatures.allows_group_by_selected_pks_on_model = _may_group_by_key  # type: ignore[method-assign, assignment]
