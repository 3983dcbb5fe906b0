"""The heat map and the line of usable GPUs in steps of minutes or hours, asked of verdict periods.

Days have figures of their own (availability.heat_map); less than some days is asked of the periods: one query.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from django.db import connection

from fleet.domain.history import intervals
from fleet.models import Cluster, Node
from fleet.models.statements import statement
from fleet.selectors.history import period_sums
from fleet.selectors.history.availability_rows import Cell, HeatMap, HeatRow, Row, cell_of
from fleet.selectors.history.usable import Line, point_of

STEPS = (
    (timedelta(minutes=100), timedelta(minutes=5)),
    (timedelta(hours=7), timedelta(minutes=15)),
    (timedelta(hours=50), timedelta(hours=1)),
)
"""Up to a length, its step: at most 50 cells in a row, of an hour or less for a day."""
LENGTHS = frozenset(step for _, step in STEPS)
_KEYS = {
    "cluster": "cluster.name",
    "product": "node.product",
    "machine_type": "node.machine_type",
    "pool": "coalesce(pools.slug, '')",
}


def step_for(length: timedelta) -> timedelta | None:
    """Returns the step of cells for a time of this length; None for one that is shown in days."""
    return next((step for most, step in STEPS if length <= most), None)


def floor(at: datetime, step: timedelta) -> datetime:
    """Returns the beginning of the step (of UTC) that holds a moment."""
    seconds = int(step.total_seconds())
    return datetime.fromtimestamp(int(at.timestamp()) // seconds * seconds, UTC)


def heat_and_line(
    by: str, since: datetime, until: datetime, *, step: timedelta, rows: Sequence[Row], cluster: str = ""
) -> tuple[HeatMap, Line]:
    """Returns groups × steps of [since, until), and percent of GPUs usable by step.

    `rows` are the same groups over the whole time: what stands beside a row is their figure. A node counts for the pool that it
    was in for most of this time.
    """
    begin = floor(since, step)
    starts = tuple(begin + number * step for number in range(-(-(until - begin) // step)))
    seconds: dict[str, dict[int, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: dict.fromkeys(intervals.VERDICTS, 0)))
    gpus: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for name, number, verdict, within, expected_s, usable_s in _ask(by, begin, since, until, step, cluster):
        known = verdict if verdict in intervals.VERDICTS else "unknown"
        seconds[name][number][known] += within
        sums = gpus[number]
        sums[0] += expected_s
        sums[1] += usable_s if known not in ("unknown", "excluded") else 0
        sums[2] += expected_s if known == "unknown" else 0
        sums[3] += expected_s if known == "excluded" else 0
    totals = {row.name: row for row in rows}
    heat = HeatMap(
        by=by,
        starts=starts,
        step=step,
        rows=tuple(
            HeatRow(name, totals[name].nodes, _cells(starts, seconds[name]), totals[name])
            for name in sorted(seconds)
            if name in totals
        ),
    )
    wholes = {number: step for number, at in enumerate(starts) if at >= since and at + step <= until}
    points = (point_of(starts[number], wholes.get(number), *gpus[number]) for number in sorted(gpus))
    return heat, Line(step, tuple(points))


def _cells(starts: Sequence[datetime], by_step: Mapping[int, dict[str, int]]) -> tuple[Cell | None, ...]:
    return tuple(cell_of(at, by_step[number]) if number in by_step else None for number, at in enumerate(starts))


def _ask(
    by: str, begin: datetime, since: datetime, until: datetime, step: timedelta, cluster: str
) -> list[tuple[str, int, str, int, int, int]]:
    with connection.cursor() as cursor:
        seconds = f"{int(step.total_seconds())} seconds"
        cursor.execute(_STATEMENTS[by], {"begin": begin, "since": since, "until": until, "step": seconds, "scope": cluster})
        return cursor.fetchall()


_STATEMENTS = {
    by: statement(
        """
WITH spans AS ({touching}),
clipped AS (
    SELECT node_id, greatest(start, %(since)s) AS start, least(coalesce(finish, %(until)s), %(until)s) AS finish, verdict,
        coalesce(expected, 0) AS expected, least(coalesce(usable, 0), coalesce(expected, 0)) AS usable
    FROM spans WHERE start < %(until)s AND (finish > %(since)s OR finish IS NULL)
){pools},
pieces AS (
    SELECT clipped.node_id, step.at, verdict, expected, usable,
        {seconds} AS within
    FROM clipped CROSS JOIN LATERAL generate_series(%(begin)s, %(until)s, %(step)s::interval) AS step(at)
    WHERE clipped.start < step.at + %(step)s::interval AND clipped.finish > step.at
)
SELECT {key}, round(extract(epoch FROM at - %(begin)s) / extract(epoch FROM %(step)s::interval))::int, pieces.verdict,
    sum(within)::bigint, sum(pieces.expected * within)::bigint, sum(pieces.usable * within)::bigint
FROM pieces JOIN {nodes} AS node ON node.id = pieces.node_id JOIN {clusters} AS cluster ON cluster.id = node.cluster_id{joined}
WHERE cluster.removed_at IS NULL AND (%(scope)s = '' OR cluster.name = %(scope)s)
GROUP BY 1, 2, 3
""",
        nodes=Node,
        clusters=Cluster,
        touching=period_sums.touching("since", "until"),
        seconds=period_sums.SECONDS.format("least(clipped.finish, step.at + %(step)s::interval)")
        + " - "
        + period_sums.SECONDS.format("greatest(clipped.start, step.at)"),
        pools=",\n" + period_sums.pool_of_nodes("clipped") if by == "pool" else "",
        joined=" LEFT JOIN pools ON pools.node_id = pieces.node_id" if by == "pool" else "",
        key=key,
    )
    for by, key in _KEYS.items()
}
