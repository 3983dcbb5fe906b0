"""What a limited person reads of each table: the one place that decides, for the ORM, raw SQL, counts and writes alike.

Each table has a view of the same name in the schema `muster_limited`, and a limited request sees no other schema (scope.py). Who
is limited to namespaces sees `muster_namespaces` instead: namespace_views.py says what differs. The views are made after each
migration and dropped before one. docs/adr/0032-limits.md says why, docs/access.md the same in words.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from django.apps import apps
from django.db import connection, transaction
from django.db.models import Model
from django.db.models.signals import post_migrate, pre_migrate
from django.db.utils import ProgrammingError
from psycopg import sql

from fleet.models import namespace_views
from fleet.models.scope import SCHEMA, SCHEMA_OF_NAMESPACES

log = logging.getLogger(__name__)

# A node that was removed is seen where it belonged to the pool when it was.
_SEEN_NODES = """
SELECT n.id, n.cluster_id, n.name, n.machine_type FROM {base}.fleet_node n
WHERE n.cluster_id = ANY {clusters} OR (n.cluster_id = ANY {within} AND n.id IN (
    SELECT m.node_id FROM {base}.fleet_poolmembership m JOIN {base}.fleet_node o ON o.id = m.node_id
    WHERE m.pool_id = ANY {pools} AND (upper_inf(m.period) OR (o.removed_at IS NOT NULL AND upper(m.period) >= o.removed_at))
))
"""
_SEEN_POOLS = """
SELECT p.id, p.slug FROM {base}.fleet_pool p
WHERE p.id = ANY {pools} OR p.id IN (
    SELECT m.pool_id FROM {base}.fleet_poolmembership m WHERE m.node_id IN (SELECT id FROM {views}.seen_node)
)
"""
# The newest definition decides, which names the pools.
_SEEN_CLASSES = """
SELECT v.workload_class_id AS id, v.id AS version_id FROM {base}.fleet_classversion v
WHERE EXISTS (SELECT FROM jsonb_array_elements_text(v.spec -> 'pools') slug WHERE slug IN (SELECT slug FROM {views}.seen_pool))
  AND v.number = (SELECT max(o.number) FROM {base}.fleet_classversion o WHERE o.workload_class_id = v.workload_class_id)
"""
_HELPERS = {"seen_node": _SEEN_NODES, "seen_pool": _SEEN_POOLS, "seen_class": _SEEN_CLASSES}
_SETTINGS = {
    name: f"((SELECT current_setting('muster.{name}'))::bigint[])" for name in ("clusters", "pools", "within", "whole_pools")
}
_SETTINGS |= {name: f"((SELECT current_setting('muster.{name}'))::text[])" for name in ("namespaces", "namespace_names")}
_SETTINGS |= {
    "user": "(SELECT current_setting('muster.user'))::bigint",
    "by_pods": "(SELECT current_setting('muster.by_pods'))::boolean",
}
_PARTS = {
    "of_node": "t.node_id IN (SELECT id FROM {views}.seen_node)",
    "of_cluster": "t.cluster_id = ANY {clusters}",
    "of_both": "CASE WHEN t.node_id IS NULL THEN t.cluster_id = ANY {clusters}"
    " ELSE t.node_id IN (SELECT id FROM {views}.seen_node) END",
    "of_node_name": "(t.cluster_id = ANY {clusters}"
    " OR (t.cluster_id, t.node_name) IN (SELECT cluster_id, name FROM {views}.seen_node))",
    "own_teams": "(SELECT member.team_id FROM {base}.fleet_teammember member WHERE member.user_id = {user})",
    "whole": "t.id = ANY {clusters}",
}
NOTHING, EVERYTHING = "false", "true"
_OF_NODE, _OF_CLUSTER, _OWN = "{of_node}", "{of_cluster}", "t.user_id = {user}"

ROWS: dict[str, str] = {
    "fleet_cluster": "{whole} OR t.id IN (SELECT cluster_id FROM {views}.seen_node)",
    "fleet_node": "t.id IN (SELECT id FROM {views}.seen_node)",
    "fleet_noderesource": _OF_NODE,
    "fleet_gpu": _OF_NODE,
    "fleet_miginstance": _OF_NODE,
    "fleet_noderevision": _OF_NODE,
    "fleet_verdictperiod": _OF_NODE,
    "fleet_rungperiod": _OF_NODE,
    "fleet_nodeday": _OF_NODE,
    "fleet_devicetelemetry": _OF_NODE,
    "fleet_telemetryframe": _OF_NODE,
    "fleet_modelserver": _OF_NODE,
    "fleet_xidburst": _OF_NODE,
    "fleet_poolmembership": _OF_NODE,
    "fleet_collectionrun": _OF_CLUSTER,
    "fleet_scheduling": _OF_CLUSTER,
    "fleet_gpuhour": _OF_CLUSTER,
    "fleet_fleetday": "{of_cluster} OR (t.cluster_id = ANY {within} AND t.pool IN"
    " (SELECT slug FROM {base}.fleet_pool WHERE id = ANY {pools}))",
    "fleet_strandedday": NOTHING,
    "fleet_keptforecast": _OF_CLUSTER,
    "fleet_finding": "{of_both}",
    "fleet_pod": "{of_cluster} OR {of_node}",
    "fleet_exporter": "{of_node_name}",
    "fleet_maintenance": "{of_node_name}",
    # A silence or a count for every cluster applies here, too.
    "fleet_silence": "(t.cluster_id IS NULL AND t.node_id IS NULL) OR {of_both}",
    "fleet_expectedgpus": "{of_node_name}"
    " OR (t.cluster_id IS NULL AND t.machine_type IN (SELECT machine_type FROM {views}.seen_node))",
    "fleet_waiver": "(t.cluster_id IS NULL OR t.cluster_id IN (SELECT id FROM {views}.fleet_cluster))"
    " AND (t.pool = '' OR t.pool IN (SELECT slug FROM {views}.seen_pool))",
    "fleet_pool": "t.id IN (SELECT id FROM {views}.seen_pool)",
    "fleet_workloadclass": "t.id IN (SELECT id FROM {views}.seen_class)",
    "fleet_classversion": "t.workload_class_id IN (SELECT id FROM {views}.seen_class)",
    # Over all members of a pool, so of pools that are seen as a whole. A class uses pools that may be hidden, or become so.
    "fleet_complianceperiod": "t.kind = 'pool' AND t.slug IN (SELECT slug FROM {base}.fleet_pool WHERE id = ANY {whole_pools})",
    "fleet_team": "t.id IN {own_teams}",
    "fleet_teammember": "t.team_id IN {own_teams}",
    "fleet_accessrequest": "t.team_id IN {own_teams} AND t.class_version_id IN (SELECT v.id FROM {base}.fleet_classversion v"
    " WHERE v.workload_class_id IN (SELECT id FROM {views}.seen_class))",
    "fleet_accessrequeststep": "t.request_id IN (SELECT id FROM {views}.fleet_accessrequest)",
    "fleet_membershiprequest": "t.team_id IN {own_teams} OR t.user_id = {user}",
    "fleet_price": NOTHING,
    "fleet_auditentry": "t.actor_id = {user}",
    "fleet_auditlink": NOTHING,
    "fleet_auditday": NOTHING,
    "fleet_auditstream": NOTHING,
    "fleet_notice": "(t.cluster_id IS NULL AND t.node_id IS NULL) OR {of_both}",
    "fleet_notificationtarget": NOTHING,
    "fleet_notificationrule": NOTHING,
    "fleet_delivery": NOTHING,
    "fleet_deliveryitem": NOTHING,
    "fleet_datacheck": NOTHING,
    # People sign in, and what they did shows their names; lists of them are for people without a limit.
    "fleet_user": EVERYTHING,
    "fleet_user_groups": EVERYTHING,
    "fleet_user_user_permissions": EVERYTHING,
    "fleet_signinlink": EVERYTHING,
    "fleet_xidoverride": EVERYTHING,
    "fleet_apitoken": _OWN,
    "fleet_savedview": _OWN,
    "fleet_idempotencykey": _OWN,
    "usersessions_usersession": _OWN,
}
"""Table to the condition of the rows that are seen. A table of Muster that is missing here fails a test."""
_DROP = f"DROP SCHEMA IF EXISTS {SCHEMA}, {SCHEMA_OF_NAMESPACES} CASCADE"
_WRITTEN_FOR_OTHERS = frozenset({"fleet_auditentry", "fleet_notice"})
"""People write audit entries that they cannot read."""

HIDDEN: dict[str, dict[str, str]] = {
    # Of a cluster that is seen in part: what is counted or stated over all of its nodes.
    "fleet_cluster": {
        "node_count": "CASE WHEN {whole} THEN t.node_count END",
        "error": "CASE WHEN {whole} THEN t.error ELSE '' END",
        "pending_fingerprint": "CASE WHEN {whole} THEN t.pending_fingerprint ELSE '' END",
        "dra": "CASE WHEN {whole} THEN t.dra ELSE '{{}}' END",
        "incomplete_pools": "CASE WHEN {whole} THEN t.incomplete_pools ELSE '[]' END",
        "readiness_rules": "CASE WHEN {whole} THEN t.readiness_rules ELSE '[]' END",
        # Names of other contexts of the same cluster.
        "same_as_id": "CASE WHEN t.same_as_id = ANY {clusters} THEN t.same_as_id END",
        "read_through": "CASE WHEN t.read_through IN (SELECT name FROM {base}.fleet_cluster WHERE id = ANY {clusters})"
        " THEN t.read_through ELSE '' END",
        "context_tries": "'{{}}'::jsonb",
        "events": "CASE WHEN {whole} THEN t.events ELSE '[]' END",
        "sections": "CASE WHEN {whole} THEN t.sections ELSE '[]' END",
    },
    # An incident that is named by a finding of a node that is not seen is named by the first that is.
    "fleet_finding": {
        "incident_id": "CASE WHEN t.cluster_id = ANY {clusters} OR t.incident_id IS NULL THEN t.incident_id"
        " ELSE (SELECT o.id FROM {base}.fleet_finding o WHERE o.incident_id = t.incident_id"
        " AND o.node_id IN (SELECT id FROM {views}.seen_node) ORDER BY o.id <> t.incident_id, o.id LIMIT 1) END"
    },
    "fleet_pool": {
        "spec": "CASE WHEN t.spec #> '{{selector,clusters}}' IS NULL THEN t.spec"
        " ELSE jsonb_set(t.spec, '{{selector,clusters}}', coalesce((SELECT jsonb_agg(name ORDER BY place)"
        " FROM jsonb_array_elements_text(t.spec #> '{{selector,clusters}}') WITH ORDINALITY AS named(name, place)"
        " WHERE name IN (SELECT name FROM {views}.fleet_cluster)), '[]')) END"
    },
    "fleet_workloadclass": {"headroom": "'{{}}'::jsonb", "headroom_at": "NULL::timestamptz"},
    "fleet_classversion": {
        "spec": "jsonb_set(t.spec, '{{pools}}', coalesce((SELECT jsonb_agg(slug ORDER BY place)"
        " FROM jsonb_array_elements_text(t.spec -> 'pools') WITH ORDINALITY AS named(slug, place)"
        " WHERE slug IN (SELECT slug FROM {views}.seen_pool)), '[]'))"
    },
}
"""Table to column to what is read instead."""


def create_views() -> bool:
    """Makes the views, where they are not there already in this form. Returns whether they are there.

    None are made of a database that is not migrated to the end, or where its user may not create a schema: then limited people
    see an error, not more.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('muster_limited')), current_schema()")
        base = cursor.fetchone()[1]
        cursor.execute(
            "SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position)"
            " FROM information_schema.columns WHERE table_schema = %s GROUP BY 1",
            [base],
        )
        columns: dict[str, list[str]] = dict(cursor.fetchall())
        if any(set(_columns(model)) - set(columns.get(model._meta.db_table, ())) for model in _models()):
            return False
        text = _statements(base, columns).as_string(None)
        digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        cursor.execute(
            "SELECT (SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s),"
            " has_database_privilege(current_database(), 'CREATE')",
            [SCHEMA],
        )
        made, may = cursor.fetchone()
        if made == digest:
            return True
        if not may:
            log.warning("The database's user may not create a schema, so no account can be limited.")
            return False
        cursor.execute(_DROP)
        cursor.execute(text)
        cursor.execute(sql.SQL("COMMENT ON SCHEMA {} IS {}").format(sql.Identifier(SCHEMA), sql.Literal(digest)))
        return True


def are_there() -> bool:
    """Whether accounts can be limited."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [f"{SCHEMA_OF_NAMESPACES}.fleet_node"])
        return bool(cursor.fetchone()[0])


def _models() -> list[type[Model]]:
    return [model for model in apps.get_models(include_auto_created=True) if not model._meta.proxy]


def _columns(model: type[Model]) -> list[str]:
    return [str(field.column) for field in model._meta.local_concrete_fields]


def _statements(base: str, columns: dict[str, list[str]]) -> sql.Composable:
    of_namespaces = {**_HELPERS, "seen_node": namespace_views.SEEN_NODES}
    seen = {**ROWS, **namespace_views.ROWS}, {**HIDDEN, **namespace_views.HIDDEN}
    return sql.SQL(";\n").join(
        [
            *_schema(base, SCHEMA, columns, _HELPERS, (ROWS, HIDDEN)),
            *_schema(base, SCHEMA_OF_NAMESPACES, columns, of_namespaces, seen),
        ]
    )


def _schema(
    base: str,
    schema: str,
    columns: Mapping[str, list[str]],
    helpers: Mapping[str, str],
    seen: tuple[Mapping[str, str], Mapping[str, Mapping[str, str]]],
) -> Iterator[sql.Composable]:
    """Yields the statements that make one schema; `seen` are the conditions of rows, and what stands for columns."""
    conditions, instead = seen
    names: dict[str, sql.Composable] = {"base": sql.Identifier(base), "views": sql.Identifier(schema)}
    names |= {name: sql.SQL(text) for name, text in _SETTINGS.items()}
    for part, text in {**_PARTS, **namespace_views.PARTS}.items():
        names[part] = sql.SQL(text).format(**names)
    yield sql.SQL("CREATE SCHEMA {views}").format(**names)
    for name, query in helpers.items():
        yield sql.SQL("CREATE VIEW {}.{} AS ").format(names["views"], sql.Identifier(name)) + sql.SQL(query).format(**names)
    for table in _in_order():
        hidden = instead.get(table, {})
        chosen = [
            sql.SQL("{} AS {}").format(sql.SQL(hidden[name]).format(**names), sql.Identifier(name))
            if name in hidden
            else sql.SQL("t.{}").format(sql.Identifier(name))
            for name in columns[table]
        ]
        yield sql.SQL("CREATE VIEW {views}.{table} AS SELECT {columns} FROM {base}.{table} AS t WHERE {condition}{check}").format(
            views=names["views"],
            base=names["base"],
            table=sql.Identifier(table),
            columns=sql.SQL(", ").join(chosen),
            condition=sql.SQL(conditions.get(table, EVERYTHING)).format(**names),
            check=sql.SQL("" if table in _WRITTEN_FOR_OTHERS else " WITH CASCADED CHECK OPTION"),
        )


def _in_order() -> list[str]:
    """Tables, those first whose views other views read."""
    tables = [model._meta.db_table for model in _models()]
    first = [table for table in ("fleet_pod", "fleet_cluster", "fleet_accessrequest") if table in tables]
    return first + [table for table in tables if table not in first]


def _before(plan: Any = (), **_: Any) -> None:
    if plan:  # a view would keep its columns from being changed
        with connection.cursor() as cursor:
            cursor.execute(_DROP)


def _after(plan: Any = None, **_: Any) -> None:
    if plan is None:  # of a flush
        return
    try:
        create_views()
    except ProgrammingError:
        log.exception("The views of limited people could not be made: limited people see an error.")


def connect() -> None:
    """Called once per process."""
    own = apps.get_app_config("fleet")
    pre_migrate.connect(_before, sender=own, dispatch_uid="scope-views")
    post_migrate.connect(_after, sender=own, dispatch_uid="scope-views")
