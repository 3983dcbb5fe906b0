"""The readiness ladder: nodes per rung, and one node's rungs with the time each last passed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import F, Func, IntegerField, Max, QuerySet
from django.db.models.fields import DateTimeField

from fleet.domain.evaluation.subject import Policy, Waiver
from fleet.domain.findings import Evidence
from fleet.domain.readiness.rungs import RUNGS
from fleet.models import Node, RungPeriod
from fleet.selectors.nodes.views import PASSING, NodeView, RungView, shown_status


@dataclass(frozen=True, slots=True)
class FunnelRung:
    """One rung over many nodes. Every figure counts nodes that are not excluded."""

    number: int
    id: str
    passed: int
    """Nodes on which it passes or warns."""
    by_status: Mapping[str, int]
    """Status to nodes; waived rungs count under `waived` instead."""
    required: bool
    """Whether a node has to reach it by default."""


@dataclass(frozen=True, slots=True)
class Funnel:
    rungs: tuple[FunnelRung, ...]
    counted: int
    """Nodes with an evaluated ladder."""
    excluded: int
    unjudged: int


def required_rung() -> int:
    """Returns the rung that a node has to reach unless a pool requires another."""
    return Policy().required_rung


_COUNT = """
    SELECT rung->>'id', (rung->>'number')::int,
           CASE WHEN jsonb_typeof(rung->'waiver') = 'object' AND rung->>'status' NOT IN ('pass', 'warn')
                THEN 'waived' ELSE rung->>'status' END AS shown,
           count(*)
    FROM fleet_node, jsonb_array_elements(fleet_node.rungs) AS rung
    WHERE fleet_node.id IN ({nodes}) AND fleet_node.verdict <> 'excluded'
    GROUP BY 1, 2, 3
"""


def rung_titles() -> list[tuple[int, str, str]]:
    """(number, id, title) of every rung, in order."""
    return [(rung.number, rung.id, rung.title) for rung in RUNGS]


def funnel(nodes: QuerySet[Node]) -> Funnel:
    """The ladder over `nodes` (present ones). Two queries, whatever their number."""
    sql, params = nodes.order_by().values("pk").query.sql_with_params()
    result: dict[tuple[int, str], dict[str, int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_COUNT.format(nodes=sql), params)
        for rung, number, values, count in cursor.fetchall():
            result.setdefault((number, rung), {})[values] = count
    excluded = judged = unjudged = 0
    length = Func(F("rungs"), function="jsonb_array_length", output_field=IntegerField())
    for verdict, rungs in nodes.order_by().values_list("verdict", length):
        excluded += verdict == "excluded"
        judged += verdict != "excluded" and rungs > 0
        unjudged += verdict != "excluded" and rungs == 0
    required = required_rung()
    return Funnel(
        rungs=tuple(
            FunnelRung(number, rung, value.get("pass", 0) + value.get("warn", 0), value, number <= required)
            for (number, rung), value in sorted(result.items())
        ),
        counted=judged,
        excluded=excluded,
        unjudged=unjudged,
    )


@dataclass(frozen=True, slots=True)
class LadderRow:
    """One rung of one node, ready to be shown."""

    number: int
    id: str
    status: str
    reason: str
    remedy: str = ""
    evidence: tuple[Evidence, ...] = ()
    broken: bool = False
    """It is the first broken rung, which the verdict names."""
    blocked_by: int | None = None
    own_status: str = ""
    last_pass: datetime | None = None
    """When it was last seen to pass, where it does not now."""
    waiver: Waiver | None = None
    required: bool = True

    @property
    def shown_status(self) -> str:
        """Returns the status that pages show: `waived` where a waiver stands in for missing evidence."""
        return shown_status(self.status, self.waiver)


def node_ladder(view: NodeView) -> list[LadderRow]:
    """Returns the rungs of a node as the newest run evaluated them, in order. One query, for when the others last passed."""
    passed = dict(
        RungPeriod.objects.filter(node_id=view.id, status__in=PASSING, period__endswith__isnull=False)
        .order_by()
        .values_list("rung")
        .annotate(last=Max(Func(F("period"), function="upper", output_field=DateTimeField())))
    )
    return ladder_rows(view.rungs, view.figures.broken_rung, view.figures.verdict, passed)


def ladder_rows(
    rungs: Sequence[RungView], broken_rung: str, verdict: str, passed: Mapping[str, datetime] | None = None
) -> list[LadderRow]:
    """Returns the rungs of now, or of a moment in the past, in the ladder's order."""
    stop = next((rung.number for rung in rungs if rung.id == broken_rung), None)
    required = required_rung()
    return [
        LadderRow(
            number=rung.number,
            id=rung.id,
            status=rung.status,
            reason=rung.reason,
            remedy=rung.remedy,
            evidence=rung.evidence,
            broken=rung.id == broken_rung
            and verdict not in ("ready", "excluded")
            and rung.status not in ("pass", "not_applicable"),
            blocked_by=stop if rung.status == "blocked" else None,
            own_status=rung.own_status or "",
            last_pass=None if rung.status in PASSING else (passed or {}).get(rung.id),
            waiver=rung.waiver,
            required=rung.number <= required,
        )
        for rung in sorted(rungs, key=lambda rung: rung.number)
    ]


_BY_STATUS_SQL = """
SELECT cluster.name, coalesce(membership.slug, ''), node.product, rung->>'id', rung->>'status', count(*)
FROM fleet_node node
JOIN fleet_cluster cluster ON cluster.id = node.cluster_id
LEFT JOIN LATERAL (
    SELECT pool.slug
    FROM fleet_poolmembership member
    JOIN fleet_pool pool ON pool.id = member.pool_id AND pool.removed_at IS NULL
    WHERE member.node_id = node.id AND upper_inf(member.period)
    ORDER BY (pool.spec #> '{policy,exclusive}' = 'false') IS TRUE, pool.slug
    LIMIT 1
) membership ON true
CROSS JOIN LATERAL jsonb_array_elements(node.rungs) rung
WHERE node.removed_at IS NULL AND cluster.removed_at IS NULL
GROUP BY 1, 2, 3, 4, 5
"""


def rungs_by_status() -> list[tuple[str, str, str, str, str, int]]:
    """Returns (cluster, pool, product, rung id, status, nodes) of the present nodes; one query.

    Nodes that were not evaluated are left out; the pool is that of pools.primary_slug.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BY_STATUS_SQL)
        return list(cursor.fetchall())
