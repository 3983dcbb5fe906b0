"""The readiness ladder: how many nodes stand on each rung, and one node's own rungs with when each last passed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import F, Func, IntegerField, Max, QuerySet
from django.db.models.fields import DateTimeField

from fleet.domain.readiness.rungs import RUNGS
from fleet.domain.subject import Policy
from fleet.models import Node, RungPeriod

STOPS = ("warn", "fail", "waiting", "unknown", "not_enabled")
"""What a rung says that is no pass, in the order it is shown."""


@dataclass(frozen=True, slots=True)
class FunnelRung:
    """One rung over many nodes. Every figure counts nodes that are not excluded."""

    number: int
    id: str
    passed: int
    """Nodes that stand on it: it passes or warns."""
    by_status: Mapping[str, int]
    """Status to nodes; where somebody waived the rung, under `waived` instead."""
    required: bool
    """Whether a node has to reach it by default."""


@dataclass(frozen=True, slots=True)
class Funnel:
    rungs: tuple[FunnelRung, ...]
    counted: int
    """Nodes with a judged ladder."""
    excluded: int
    unjudged: int


def required_rung() -> int:
    """The rung that a node has to reach where no pool says otherwise."""
    return Policy().required_rung


_COUNT = """
    SELECT rung->>'id', (rung->>'number')::int,
           CASE WHEN jsonb_typeof(rung->'waiver') = 'object' AND rung->>'status' NOT IN ('pass', 'warn')
                THEN 'waived' ELSE rung->>'status' END AS said,
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
    found: dict[tuple[int, str], dict[str, int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_COUNT.format(nodes=sql), params)
        for rung, number, said, count in cursor.fetchall():
            found.setdefault((number, rung), {})[said] = count
    excluded = judged = unjudged = 0
    length = Func(F("rungs"), function="jsonb_array_length", output_field=IntegerField())
    for verdict, rungs in nodes.order_by().values_list("verdict", length):
        excluded += verdict == "excluded"
        judged += verdict != "excluded" and rungs > 0
        unjudged += verdict != "excluded" and rungs == 0
    required = required_rung()
    return Funnel(
        rungs=tuple(
            FunnelRung(number, rung, said.get("pass", 0) + said.get("warn", 0), said, number <= required)
            for (number, rung), said in sorted(found.items())
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
    evidence: tuple[Mapping[str, Any], ...] = ()
    broken: bool = False
    """It is the first broken rung: the one the verdict speaks of."""
    blocked_by: int | None = None
    own_status: str = ""
    last_pass: datetime | None = None
    """When it was last seen to pass, where it does not now."""
    waiver: Mapping[str, Any] | None = None
    required: bool = True


def node_ladder(node: Node) -> list[LadderRow]:
    """The rungs of a node as the newest pass judged them, in order. One query, for when the others last passed."""
    passed = dict(
        RungPeriod.objects.filter(node=node, status__in=("pass", "warn"), period__endswith__isnull=False)
        .order_by()
        .values_list("rung")
        .annotate(last=Max(Func(F("period"), function="upper", output_field=DateTimeField())))
    )
    return ladder_rows(node.rungs, node.broken_rung, node.verdict, passed)


def ladder_rows(
    rungs: list[dict[str, Any]], broken_rung: str, verdict: str, passed: Mapping[str, datetime] | None = None
) -> list[LadderRow]:
    """`rungs` are RungResults as dicts, of now or of a moment in the past."""
    stop = next((one["number"] for one in rungs if one["id"] == broken_rung), None)
    required = required_rung()
    rows = []
    for one in sorted(rungs, key=lambda one: one["number"]):
        status = one["status"]
        rows.append(
            LadderRow(
                number=one["number"],
                id=one["id"],
                status=status,
                reason=one.get("reason") or "",
                remedy=one.get("remedy") or "",
                evidence=tuple(one.get("evidence") or ()),
                broken=one["id"] == broken_rung
                and verdict not in ("ready", "excluded")
                and status not in ("pass", "not_applicable"),
                blocked_by=stop if status == "blocked" else None,
                own_status=one.get("own_status") or "",
                last_pass=None if status in ("pass", "warn") else (passed or {}).get(one["id"]),
                waiver=one.get("waiver") or None,
                required=one["number"] <= required,
            )
        )
    return rows
