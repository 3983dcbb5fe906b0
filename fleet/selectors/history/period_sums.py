"""Figures of many nodes over one stretch of time, from their verdict periods.

The same that domain/history makes of one node's. Days are made of them (services/rollups.py), and windows that are no whole
days.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from fleet.models import Node, Pool, PoolMembership, VerdictPeriod
from fleet.models.statements import statement as compose


def statement() -> str:
    """SQL that returns one row for each node with any verdict in the window: see the columns at its end."""
    return _FIGURES


def arguments(since: datetime, until: datetime, now: datetime) -> Mapping[str, Any]:
    """Parameters of the statement: the window [since, until), as far as it has passed at `now`."""
    # how far beyond the window's ends an incident or a flap can reach
    margin = max(settings.INCIDENT_GRACE, settings.FLAP_WITHIN) + timedelta(seconds=1)
    return {
        "since": since,
        "until": min(until, now),
        "seen_from": since - margin,
        "seen_to": until + margin,
        "now": now,
        "grace": settings.INCIDENT_GRACE,
        "flap": settings.FLAP_WITHIN,
    }


def touching(since: str, until: str) -> str:
    """SQL of the periods that touch the window between two named arguments."""
    return compose(_TOUCHING, nodes=Node, periods=VerdictPeriod, since=since, until=until)


# Periods that touch a stretch of time: for each node the last that had begun before it, and those that begin in it.
_TOUCHING = """
    SELECT one.node_id, lower(one.period) AS start, upper(one.period) AS finish, one.verdict, one.usable, one.expected
    FROM {nodes} AS node CROSS JOIN LATERAL (
        SELECT * FROM {periods} WHERE node_id = node.id AND lower(period) < %({since})s
        ORDER BY lower(period) DESC LIMIT 1
    ) AS one
    WHERE upper(one.period) > %({since})s OR upper(one.period) IS NULL
    UNION ALL
    SELECT node_id, lower(period), upper(period), verdict, usable, expected
    FROM {periods} WHERE lower(period) >= %({since})s AND lower(period) < %({until})s
"""

SECONDS = "floor(extract(epoch FROM {}))::bigint"
_WITHIN = SECONDS.format("least(coalesce(finish, %(until)s), %(until)s)") + " - " + SECONDS.format("greatest(start, %(since)s)")


def _sum(verdict: str) -> str:
    return f"coalesce(sum(within) FILTER (WHERE verdict = '{verdict}'), 0)"


# The pool a node was in for the most of its time in the window. Its time in no pool competes with them: a node that joined
# a pool in the last hour of a day did not live that day in it.
_BELONGED = """
belonged AS (
    SELECT one.node_id, pool.slug, one.period * tstzrange(%(since)s, greatest(%(since)s, %(until)s)) AS part
    FROM {members} AS one JOIN {pools} AS pool ON pool.id = one.pool_id
    WHERE one.period && tstzrange(%(since)s, greatest(%(since)s, %(until)s))
),
shares AS (
    SELECT node_id, slug, sum(extract(epoch FROM upper(part) - lower(part))) AS share FROM belonged GROUP BY node_id, slug
    UNION ALL
    SELECT figures.node_id, '', ready_s + degraded_s + not_ready_s + starting_s + unknown_s + excluded_s - pooled.share
    FROM figures JOIN (
        SELECT node_id, sum(extract(epoch FROM upper(part) - lower(part))) AS share
        FROM (SELECT node_id, unnest(range_agg(part)) AS part FROM belonged GROUP BY node_id) AS parts GROUP BY node_id
    ) AS pooled USING (node_id)
),
pools AS (SELECT DISTINCT ON (node_id) node_id, slug FROM shares ORDER BY node_id, share DESC, slug = '', slug)
"""


# As `figures` of the whole statement, in one sum.
_ONE_SUM = """
figures AS (
    SELECT node_id, sum({finish} - {start}) AS ready_s, 0 AS degraded_s, 0 AS not_ready_s, 0 AS starting_s, 0 AS unknown_s,
        0 AS excluded_s
    FROM {spans} GROUP BY node_id
),"""


def pool_of_nodes(spans: str) -> str:
    """SQL of two tables more, `figures` and `pools`: the pool that each node of `spans` was in for most of their time."""
    figures = compose(_ONE_SUM, spans=spans, finish=SECONDS.format("finish"), start=SECONDS.format("start"))
    return figures + compose(_BELONGED, members=PoolMembership, pools=Pool)


# `bad` walks back from a node's first period in sight for as long as it was already bad then: an incident that ends on
# this day may have begun long before. `stretch` numbers the stretches of each node, `island` the stretches together with
# the starting time behind them.
_FIGURES = compose(
    """
WITH RECURSIVE seen AS ({seen}),
bad AS (
    SELECT * FROM (
        SELECT DISTINCT ON (node_id) node_id, start, finish, verdict FROM seen ORDER BY node_id, start
    ) AS first WHERE verdict IN ('not_ready', 'starting')
    UNION ALL
    SELECT before.node_id, lower(before.period), upper(before.period), before.verdict
    FROM bad CROSS JOIN LATERAL (
        SELECT * FROM {periods} WHERE node_id = bad.node_id AND lower(period) < bad.start
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
incidents AS (
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
        coalesce(sum(greatest(0, {within})) FILTER (WHERE is_incident), 0) AS down_s,
        count(*) FILTER (WHERE is_incident AND mended) AS repaired,
        coalesce(sum({repaired_s} - {start_s}) FILTER (WHERE is_incident AND mended), 0)
            AS repair_s
    FROM (
        SELECT *, start >= %(since)s AND start < %(until)s AS began,
            repaired_at >= %(since)s AND repaired_at < %(until)s AS mended
        FROM incidents
    ) AS dated GROUP BY node_id
),
clipped AS (
    SELECT node_id, verdict, {within} AS within FROM seen
    WHERE start < %(until)s AND (finish > %(since)s OR finish IS NULL)
),
figures AS (
    SELECT node_id, {sums},
        coalesce(sum(within) FILTER (WHERE verdict NOT IN ('ready', 'degraded', 'not_ready', 'starting', 'excluded')), 0)
            AS unknown_s,
        {excluded} AS excluded_s
    FROM clipped GROUP BY node_id
),
{belonged}
SELECT figures.node_id, node.cluster_id, ready_s, degraded_s, not_ready_s, starting_s, unknown_s, excluded_s,
    coalesce(incidents, 0) AS incidents, coalesce(flaps, 0) AS flaps, coalesce(down_s, 0) AS down_s, first_bad_at,
    coalesce(repaired, 0) AS repaired, coalesce(repair_s, 0) AS repair_s, coalesce(pools.slug, '') AS pool
FROM figures JOIN {nodes} AS node ON node.id = figures.node_id LEFT JOIN bad_figures USING (node_id)
    LEFT JOIN pools USING (node_id)
""",
    nodes=Node,
    periods=VerdictPeriod,
    seen=touching("seen_from", "seen_to"),
    within=_WITHIN,
    repaired_s=SECONDS.format("repaired_at"),
    start_s=SECONDS.format("start"),
    sums=", ".join(f"{_sum(verdict)} AS {verdict}_s" for verdict in ("ready", "degraded", "not_ready", "starting")),
    excluded=_sum("excluded"),
    belonged=compose(_BELONGED, members=PoolMembership, pools=Pool),
)
