"""Frames: measurements of one node's devices at one moment, for the curves of its page. One partition per hour."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from fleet.domain.catalog.metrics import by_id
from fleet.domain.snapshot.telemetry import DeviceSample
from fleet.models import TelemetryFrame
from fleet.models.statements import statement
from fleet.services import locks

_TABLE = TelemetryFrame._meta.db_table
_HOUR = timedelta(hours=1)


def is_due(at: datetime, before: datetime | None) -> bool:
    """Whether a run at `at` is the first of its collection interval; the previous run was at `before`."""
    interval = settings.COLLECT_INTERVAL.total_seconds()
    return before is None or at.timestamp() // interval > before.timestamp() // interval


def write(samples: Mapping[int, Sequence[DeviceSample]], at: datetime) -> None:
    """One frame for each node (row id to its samples), of the metrics that have curves. Values keep five digits."""
    kept = frozenset(metric.id for metric in by_id().values() if metric.curve)
    rows = []
    for node_id, devices in samples.items():
        values = {
            sample.key: {name: _short(value) for name, value in sample.values.items() if name in kept} for sample in devices
        }
        if any(values.values()):
            rows.append((node_id, at, json.dumps(values, separators=(",", ":"))))
    if not rows:
        return
    _make_partition(at)
    with connection.cursor() as cursor:
        cursor.executemany(
            statement(
                "INSERT INTO {frames} (node_id, at, values) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", frames=TelemetryFrame
            ),
            rows,
        )


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _name(hour: datetime) -> str:
    return f"{_TABLE}_{hour:%Y%m%d%H}"


def _make_partition(at: datetime) -> None:
    """Creates the partition of the hour unless it exists. Attaching one does not block reads and writes."""
    hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    name = _name(hour)
    with connection.cursor() as cursor:
        if _is_there(cursor, name):
            return
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [locks.PARTITIONS])
        if _is_there(cursor, name):
            return
        cursor.execute(f"CREATE TABLE {name} (LIKE {_TABLE} INCLUDING DEFAULTS)")
        cursor.execute(
            f"ALTER TABLE {_TABLE} ATTACH PARTITION {name} FOR VALUES FROM (%s) TO (%s)",
            [hour, hour + _HOUR],
        )


def _is_there(cursor: Any, name: str) -> bool:
    """Queries the catalogue itself: to_regclass would answer no from a cache while another worker creates the table."""
    cursor.execute("SELECT EXISTS (SELECT FROM pg_class WHERE relname = %s)", [name])
    (result,) = cursor.fetchone()
    return bool(result)


def drop_old(now: datetime) -> int:
    """Drops the partitions in which every frame is past its age; returns their number."""
    oldest = _name((now - settings.TELEMETRY_RETENTION - _HOUR).astimezone(UTC))
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [_TABLE])
        gone = sorted(name for (name,) in cursor.fetchall() if name.rpartition(".")[2] <= oldest)
        for name in gone:
            cursor.execute(f"DROP TABLE {name}")
    return len(gone)
