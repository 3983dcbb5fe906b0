"""A database of its own in which a past is lived, and the way of what was recorded there into Muster's own.

Until a lived past has reached the present, its periods are current and its moments are weeks ago: pages, rules and notifications
must not see it. So the product's own code records it in a second database of the same server, and one transaction brings it over.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.core.management import call_command
from django.db import connections
from django.db.models import F, Model
from django.utils import timezone
from psycopg import sql

from fleet.models import (
    Cluster,
    CollectionRun,
    CompliancePeriod,
    DeviceTelemetry,
    Exporter,
    FindingRow,
    FleetDay,
    Gpu,
    GpuHour,
    MigInstance,
    ModelServerRow,
    Node,
    NodeDay,
    NodeResource,
    NodeRevision,
    Notice,
    Pod,
    Pool,
    PoolMembership,
    RungPeriod,
    SchedulingRow,
    VerdictPeriod,
    XidBurstRow,
)

DATABASE = "muster_past"
_FIRST_ID = 1_000_000_000
"""Ids of the past begin here, so that none is that of a row which Muster created since."""
RECORDED: tuple[type[Model], ...] = (
    *(Cluster, Node, NodeResource, Gpu, MigInstance, Pod, NodeRevision, VerdictPeriod, RungPeriod, FindingRow, NodeDay, FleetDay),
    *(GpuHour, PoolMembership, CompliancePeriod, CollectionRun, SchedulingRow, DeviceTelemetry, Exporter, ModelServerRow),
    *(XidBurstRow, Notice),
)
"""What a collection run records. Curves of telemetry are left out: they are kept for hours only."""

_UNGROUP = """
UPDATE fleet_finding SET incident_id = NULL
WHERE incident_id IN (SELECT id FROM fleet_finding WHERE cluster_id IS NULL AND key = ANY(%s))
"""
_OF_OTHERS = """
DELETE FROM fleet_pool
WHERE spec->'selector' ? 'clusters' AND spec->'selector'->'clusters' <> '[]' AND NOT spec->'selector'->'clusters' ? %s
"""


@contextmanager
def lived_apart(cluster: str) -> Iterator[None]:
    """Lets everything in the block read and write a new database with this Muster's tables. It stays afterwards.

    Pools of other clusters than this one are left out: they would have no node there, and a month of findings about that.
    """
    forget()
    main = connections["default"].settings_dict["NAME"]
    with _admin() as database:
        database.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    try:
        _use(DATABASE)
        call_command("migrate", verbosity=0, interactive=False)
        with connections["default"].cursor() as cursor:
            for model in RECORDED:
                cursor.execute(f'ALTER SEQUENCE "{model._meta.db_table}_id_seq" RESTART WITH {_FIRST_ID}')
        with _connect(main) as source, _connect(DATABASE) as target:
            _copy(Pool, source, target)
            target.execute(_OF_OTHERS, [cluster])
        yield
    finally:
        _use(main)


def bring_over() -> None:
    """Adds everything recorded apart to Muster's own tables, in one transaction. Events of the past cause no notification."""
    main = connections["default"].settings_dict["NAME"]
    _use(DATABASE)
    try:
        Notice.objects.filter(matched_at__isnull=True).update(matched_at=F("at"))
        Cluster.objects.update(next_due_at=timezone.now(), queued_at=None)
        slugs = list(CompliancePeriod.objects.values_list("slug", flat=True).distinct())
        keys = list(FindingRow.objects.filter(cluster=None).values_list("key", flat=True).distinct())
    finally:
        _use(main)
    with _connect(DATABASE) as source, _connect(main) as target:
        # These pools had no nodes until now: what was recorded about them since the start is replaced by their month.
        target.execute("DELETE FROM fleet_complianceperiod WHERE slug = ANY(%s)", [slugs])
        target.execute(_UNGROUP, [keys])
        target.execute("DELETE FROM fleet_finding WHERE cluster_id IS NULL AND key = ANY(%s)", [keys])
        for model in RECORDED:
            _copy(model, source, target)
            table = sql.Identifier(model._meta.db_table)
            target.execute(
                sql.SQL("SELECT setval(pg_get_serial_sequence({}, 'id'), greatest((SELECT max(id) FROM {}), 1))").format(
                    sql.Literal(model._meta.db_table), table
                )
            )


def forget() -> None:
    """Drops the database of the past, if it exists."""
    with _admin() as database:
        database.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(DATABASE)))


def _copy(model: type[Model], source: psycopg.Connection, target: psycopg.Connection) -> None:
    columns = sql.SQL(", ").join([sql.Identifier(field.column) for field in model._meta.local_concrete_fields if field.column])
    names = {"table": sql.Identifier(model._meta.db_table), "columns": columns}
    out = sql.SQL("COPY {table} ({columns}) TO STDOUT (FORMAT BINARY)").format(**names)
    into = sql.SQL("COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)").format(**names)
    with source.cursor().copy(out) as rows, target.cursor().copy(into) as sink:
        for block in rows:
            sink.write(block)


def _use(name: str) -> None:
    """Points the default connection of this process at another database of the same server."""
    connections["default"].close()
    connections["default"].settings_dict["NAME"] = name


def _connect(name: str, **more: Any) -> psycopg.Connection:
    given = connections["default"].get_connection_params()
    kept = {key: given[key] for key in ("host", "port", "user", "password", "service") if key in given}
    return psycopg.connect(**kept, dbname=name, **more)


def _admin() -> psycopg.Connection:
    return _connect(connections["default"].settings_dict["NAME"], autocommit=True)
