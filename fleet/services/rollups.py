"""Days and hours in figures, rebuilt from verdict periods: domain/history/days.py defines each figure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from django.db import connection, transaction
from django.db.models import Max, Min
from django.db.models.functions import Lower

from fleet.models import FleetDay, GpuHour, Node, NodeDay, VerdictPeriod
from fleet.models.statements import statement
from fleet.selectors.history import period_sums

_DAY = timedelta(days=1)


def refresh(now: datetime) -> list[date]:
    """Rebuilds today and yesterday, and every day since the last one that was rebuilt; returns them.

    Oldest first, each in a transaction of its own: after an interruption it continues where it stopped.
    """
    newest = NodeDay.objects.aggregate(day=Max("day"))["day"] or _first_day()
    if newest is None:
        return []
    today = now.astimezone(UTC).date()
    return list(rebuild(min(newest, today - _DAY), now))


def rebuild(since: date, now: datetime) -> Iterator[date]:
    """Rebuilds every day from `since` to now, yielding each as it is done."""
    if (first := _first_day()) is None:
        return
    day = max(since, first)
    while day <= now.astimezone(UTC).date():
        rebuild_day(day, now)
        yield day
        day += _DAY


@transaction.atomic
def rebuild_day(day: date, now: datetime) -> None:
    """Computes the figures of one day from its periods, up to `now`. Idempotent."""
    since = datetime.combine(day, time(), UTC)
    fields = {**period_sums.arguments(since, since + _DAY, now), "day": day}
    with connection.cursor() as cursor:
        cursor.execute(_DAYS, fields)
        cursor.execute(_DELETE_DAYS, {**fields, "nodes": [node_id for (node_id,) in cursor.fetchall()]})
        cursor.execute(_DELETE_FLEET, fields)
        cursor.execute(_FLEET, fields)
        cursor.execute(_DELETE_HOURS, fields)
        cursor.execute(_HOURS, fields)


def _first_day() -> date | None:
    first = VerdictPeriod.objects.aggregate(at=Min(Lower("period")))["at"]
    return first.astimezone(UTC).date() if first else None


_DELETE_DAYS = statement("DELETE FROM {days} WHERE day = %(day)s AND NOT node_id = ANY(%(nodes)s)", days=NodeDay)
_DELETE_FLEET = statement("DELETE FROM {fleet} WHERE day = %(day)s", fleet=FleetDay)
_DELETE_HOURS = statement("DELETE FROM {hours} WHERE hour >= %(since)s AND hour < %(since)s + interval '1 day'", hours=GpuHour)
_DAYS = statement(
    """
INSERT INTO {days} AS day (node_id, cluster_id, ready_s, degraded_s, not_ready_s, starting_s, unknown_s, excluded_s,
    incidents, flaps, down_s, first_bad_at, repaired, repair_s, pool, day)
SELECT figures.*, %(day)s FROM ({figures}) AS figures ORDER BY node_id
ON CONFLICT (node_id, day) DO UPDATE SET ready_s = excluded.ready_s, degraded_s = excluded.degraded_s,
    not_ready_s = excluded.not_ready_s, starting_s = excluded.starting_s, unknown_s = excluded.unknown_s,
    excluded_s = excluded.excluded_s, incidents = excluded.incidents, flaps = excluded.flaps, down_s = excluded.down_s,
    first_bad_at = excluded.first_bad_at, repaired = excluded.repaired, repair_s = excluded.repair_s,
    pool = excluded.pool
RETURNING node_id
""",
    days=NodeDay,
    figures=period_sums.statement(),
)

_SUMS = ("ready_s", "degraded_s", "not_ready_s", "starting_s", "unknown_s", "excluded_s", "incidents", "flaps", "down_s",
    "repaired", "repair_s")  # fmt: skip
_FLEET = statement(
    """
INSERT INTO {fleet} (day, cluster_id, product, machine_type, pool, nodes, first_bad_at, {names})
SELECT day.day, day.cluster_id, node.product, node.machine_type, day.pool, count(*), min(day.first_bad_at),
    {sums}
FROM {days} AS day JOIN {nodes} AS node ON node.id = day.node_id
WHERE day.day = %(day)s GROUP BY 1, 2, 3, 4, 5
""",
    fleet=FleetDay,
    days=NodeDay,
    nodes=Node,
    names=", ".join(_SUMS),
    sums=", ".join(f"sum(day.{name})" for name in _SUMS),
)

_HOURS = statement(
    """
WITH spans AS ({touching}),
pieces AS (
    SELECT node.cluster_id, node.product, hour.hour, one.verdict,
        coalesce(one.expected, 0) AS expected, least(coalesce(one.usable, 0), coalesce(one.expected, 0)) AS usable,
        {finish_s}
            - {start_s} AS within
    FROM spans AS one JOIN {nodes} AS node ON node.id = one.node_id
    CROSS JOIN LATERAL generate_series(
        date_trunc('hour', greatest(one.start, %(since)s), 'UTC'),
        least(coalesce(one.finish, %(until)s), %(until)s) - interval '1 microsecond', interval '1 hour'
    ) AS hour (hour)
)
INSERT INTO {hours} (cluster_id, product, hour, expected_s, usable_s, unknown_s, excluded_s)
SELECT cluster_id, product, hour, sum(expected * within),
    coalesce(sum(usable * within) FILTER (WHERE verdict IN ('ready', 'degraded')), 0),
    coalesce(sum(expected * within) FILTER (WHERE verdict = 'unknown'), 0),
    coalesce(sum(expected * within) FILTER (WHERE verdict = 'excluded'), 0)
FROM pieces GROUP BY cluster_id, product, hour
""",
    hours=GpuHour,
    nodes=Node,
    touching=period_sums.touching("since", "until"),
    finish_s=period_sums.SECONDS.format("least(coalesce(one.finish, %(until)s), %(until)s, hour.hour + interval '1 hour')"),
    start_s=period_sums.SECONDS.format("greatest(one.start, hour.hour)"),
)
