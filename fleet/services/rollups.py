"""Days and hours in figures, rebuilt from verdict periods at will: domain/history/days.py says what each figure means."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Min
from django.db.models.functions import Lower

from fleet.models import GpuHour, Node, NodeDay, VerdictPeriod

_DAY = timedelta(days=1)


def refresh(now: datetime) -> list[date]:
    """Rebuilds today and yesterday, and every day since the last one that was rebuilt; returns them.

    Oldest first, each in a transaction of its own: what is interrupted goes on where it stopped.
    """
    newest = NodeDay.objects.aggregate(day=Max("day"))["day"] or _first_day()
    if newest is None:
        return []
    today = now.astimezone(UTC).date()
    return list(rebuild(min(newest, today - _DAY), now))


def rebuild(since: date, now: datetime) -> Iterator[date]:
    """Rebuilds every day from `since` to now, yielding each as it is done."""
    day = max(since, _first_day() or since)
    while day <= now.astimezone(UTC).date():
        rebuild_day(day, now)
        yield day
        day += _DAY


@transaction.atomic
def rebuild_day(day: date, now: datetime) -> None:
    """Makes the figures of one day what its periods say, as far as it has passed at `now`. Twice over changes nothing."""
    since = datetime.combine(day, time(), UTC)
    # so far beyond the day's ends one must look to tell an incident and a flap
    margin = max(settings.INCIDENT_GRACE, settings.FLAP_WITHIN) + timedelta(seconds=1)
    told = {
        "day": day,
        "since": since,
        "until": min(since + _DAY, now),
        "seen_from": since - margin,
        "seen_to": since + _DAY + margin,
        "now": now,
        "grace": settings.INCIDENT_GRACE,
        "flap": settings.FLAP_WITHIN,
    }
    with connection.cursor() as cursor:
        cursor.execute(_DAYS, told)
        cursor.execute(f"DELETE FROM {_DAY_TABLE} WHERE day = %(day)s AND NOT node_id = ANY(%(nodes)s)",  # noqa: S608
                       {**told, "nodes": [node_id for (node_id,) in cursor.fetchall()]})  # fmt: skip
        cursor.execute(f"DELETE FROM {_HOUR_TABLE} WHERE hour >= %(since)s AND hour < %(since)s + interval '1 day'", told)  # noqa: S608
        cursor.execute(_HOURS, told)


def _first_day() -> date | None:
    first = VerdictPeriod.objects.aggregate(at=Min(Lower("period")))["at"]
    return first.astimezone(UTC).date() if first else None


_DAY_TABLE, _HOUR_TABLE = NodeDay._meta.db_table, GpuHour._meta.db_table
_PERIODS, _NODES = VerdictPeriod._meta.db_table, Node._meta.db_table

# Periods that touch a stretch of time: for each node the last that had begun before it, and those that begin in it.
_TOUCHING = f"""
    SELECT one.node_id, lower(one.period) AS start, upper(one.period) AS finish, one.verdict, one.usable, one.expected
    FROM {_NODES} AS node CROSS JOIN LATERAL (
        SELECT * FROM {_PERIODS} WHERE node_id = node.id AND lower(period) < %({{since}})s
        ORDER BY lower(period) DESC LIMIT 1
    ) AS one
    WHERE upper(one.period) > %({{since}})s OR upper(one.period) IS NULL
    UNION ALL
    SELECT node_id, lower(period), upper(period), verdict, usable, expected
    FROM {_PERIODS} WHERE lower(period) >= %({{since}})s AND lower(period) < %({{until}})s
"""  # noqa: S608 a table's own name

_SECONDS = "floor(extract(epoch FROM {}))::bigint"
_WITHIN = _SECONDS.format("least(coalesce(finish, %(until)s), %(until)s)") + " - " + _SECONDS.format("greatest(start, %(since)s)")


def _sum(verdict: str) -> str:
    return f"coalesce(sum(within) FILTER (WHERE verdict = '{verdict}'), 0)"


# `bad` walks back from a node's first period in sight for as long as it was already bad then: an incident that ends on
# this day may have begun long before. `stretch` numbers the stretches of each node, `island` the stretches together with
# the starting time behind them.
_DAYS = f"""
WITH RECURSIVE seen AS ({_TOUCHING.format(since="seen_from", until="seen_to")}),
bad AS (
    SELECT * FROM (
        SELECT DISTINCT ON (node_id) node_id, start, finish, verdict FROM seen ORDER BY node_id, start
    ) AS first WHERE verdict IN ('not_ready', 'starting')
    UNION ALL
    SELECT before.node_id, lower(before.period), upper(before.period), before.verdict
    FROM bad CROSS JOIN LATERAL (
        SELECT * FROM {_PERIODS} WHERE node_id = bad.node_id AND lower(period) < bad.start
        ORDER BY lower(period) DESC LIMIT 1
    ) AS before
    WHERE upper(before.period) = bad.start AND before.verdict IN ('not_ready', 'starting')
),
spans AS (
    SELECT node_id, start, finish, verdict FROM seen UNION SELECT node_id, start, finish, verdict FROM bad
),
neighbours AS (
    SELECT *,
        CASE WHEN lag(finish) OVER one = start THEN lag(verdict) OVER one END AS before,
        CASE WHEN lead(start) OVER one = finish THEN lead(verdict) OVER one END AS after
    FROM spans WINDOW one AS (PARTITION BY node_id ORDER BY start)
),
numbered AS (
    SELECT *,
        count(*) FILTER (WHERE verdict = 'not_ready' AND before IS DISTINCT FROM 'not_ready') OVER one AS stretch,
        count(*) FILTER (WHERE before IS NULL OR before NOT IN ('not_ready', 'starting')) OVER one AS island
    FROM neighbours WHERE verdict IN ('not_ready', 'starting')
    WINDOW one AS (PARTITION BY node_id ORDER BY start)
),
repairs AS (
    SELECT node_id, island, max(stretch) AS stretch,
        (array_agg(finish ORDER BY start DESC))[1] AS repaired_at,
        (array_agg(after ORDER BY start DESC))[1] IN ('ready', 'degraded') AS is_good
    FROM numbered GROUP BY node_id, island
),
stretches AS (
    SELECT node_id, stretch, min(island) AS island, min(start) AS start,
        CASE WHEN count(finish) = count(*) THEN max(finish) END AS finish,
        (array_agg(before ORDER BY start))[1] IN ('ready', 'degraded') AS from_good
    FROM numbered WHERE verdict = 'not_ready' GROUP BY node_id, stretch
),
told AS (
    SELECT one.node_id, one.start, one.finish, one.from_good,
        CASE WHEN repairs.is_good AND repairs.stretch = one.stretch THEN repairs.repaired_at END AS repaired_at,
        coalesce(one.finish, %(now)s) - one.start > %(grace)s AS is_incident
    FROM stretches AS one JOIN repairs USING (node_id, island)
),
bad_figures AS (
    SELECT node_id,
        count(*) FILTER (WHERE is_incident AND began) AS incidents,
        min(start) FILTER (WHERE is_incident AND began) AS first_bad_at,
        count(*) FILTER (WHERE began AND from_good AND repaired_at - start <= %(flap)s) AS flaps,
        coalesce(sum(greatest(0, {_WITHIN})) FILTER (WHERE is_incident), 0) AS down_s,
        count(*) FILTER (WHERE is_incident AND mended) AS repaired,
        coalesce(sum({_SECONDS.format("repaired_at")} - {_SECONDS.format("start")}) FILTER (WHERE is_incident AND mended), 0)
            AS repair_s
    FROM (
        SELECT *, start >= %(since)s AND start < %(until)s AS began,
            repaired_at >= %(since)s AND repaired_at < %(until)s AS mended
        FROM told
    ) AS dated GROUP BY node_id
),
clipped AS (
    SELECT node_id, verdict, {_WITHIN} AS within FROM seen
    WHERE start < %(until)s AND (finish > %(since)s OR finish IS NULL)
),
figures AS (
    SELECT node_id, {", ".join(f"{_sum(verdict)} AS {verdict}_s" for verdict in ("ready", "degraded", "not_ready", "starting"))},
        coalesce(sum(within) FILTER (WHERE verdict NOT IN ('ready', 'degraded', 'not_ready', 'starting', 'excluded')), 0)
            AS unknown_s,
        {_sum("excluded")} AS excluded_s
    FROM clipped GROUP BY node_id
)
INSERT INTO {_DAY_TABLE} AS day (node_id, cluster_id, pool, day, ready_s, degraded_s, not_ready_s, starting_s, unknown_s,
    excluded_s, incidents, flaps, down_s, first_bad_at, repaired, repair_s)
SELECT figures.node_id, node.cluster_id, '', %(day)s, ready_s, degraded_s, not_ready_s, starting_s, unknown_s, excluded_s,
    coalesce(incidents, 0), coalesce(flaps, 0), coalesce(down_s, 0), first_bad_at, coalesce(repaired, 0), coalesce(repair_s, 0)
FROM figures JOIN {_NODES} AS node ON node.id = figures.node_id LEFT JOIN bad_figures USING (node_id)
ORDER BY figures.node_id
ON CONFLICT (node_id, day) DO UPDATE SET ready_s = excluded.ready_s, degraded_s = excluded.degraded_s,
    not_ready_s = excluded.not_ready_s, starting_s = excluded.starting_s, unknown_s = excluded.unknown_s,
    excluded_s = excluded.excluded_s, incidents = excluded.incidents, flaps = excluded.flaps, down_s = excluded.down_s,
    first_bad_at = excluded.first_bad_at, repaired = excluded.repaired, repair_s = excluded.repair_s
RETURNING node_id
"""  # noqa: S608

_HOURS = f"""
WITH spans AS ({_TOUCHING.format(since="since", until="until")}),
pieces AS (
    SELECT node.cluster_id, node.product, hour.hour, one.verdict,
        greatest(coalesce(one.expected, 0), coalesce(one.usable, 0)) AS expected, coalesce(one.usable, 0) AS usable,
        {_SECONDS.format("least(coalesce(one.finish, %(until)s), %(until)s, hour.hour + interval '1 hour')")}
            - {_SECONDS.format("greatest(one.start, hour.hour)")} AS within
    FROM spans AS one JOIN {_NODES} AS node ON node.id = one.node_id
    CROSS JOIN LATERAL generate_series(
        date_trunc('hour', greatest(one.start, %(since)s), 'UTC'),
        least(coalesce(one.finish, %(until)s), %(until)s) - interval '1 microsecond', interval '1 hour'
    ) AS hour (hour)
)
INSERT INTO {_HOUR_TABLE} (cluster_id, product, hour, expected_s, usable_s, unknown_s, excluded_s)
SELECT cluster_id, product, hour, sum(expected * within),
    coalesce(sum(usable * within) FILTER (WHERE verdict IN ('ready', 'degraded')), 0),
    coalesce(sum(expected * within) FILTER (WHERE verdict = 'unknown'), 0),
    coalesce(sum(expected * within) FILTER (WHERE verdict = 'excluded'), 0)
FROM pieces GROUP BY cluster_id, product, hour
"""  # noqa: S608
