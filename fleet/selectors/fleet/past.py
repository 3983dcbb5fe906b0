"""The fleet's page at one past moment: figures, groups, ladder and findings, read from what was recorded."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from fleet.domain.evaluation.figures import NodeFigures
from fleet.domain.evaluation.fleet_figures import FleetFigures, sum_nodes
from fleet.domain.readiness.types import Verdict
from fleet.models import FindingRow, Node, RungPeriod, VerdictPeriod
from fleet.selectors.figures import NOT_KEPT, figures_at
from fleet.selectors.fleet.map import Group, Tile, group_of, tile_of
from fleet.selectors.nodes.ladder import Funnel, FunnelRung, required_rung
from fleet.selectors.nodes.nodes import nodes as all_nodes


@dataclass(frozen=True, slots=True)
class Past:
    """The fleet at `at`."""

    at: datetime
    figures: FleetFigures
    unjudged: int
    """Nodes that existed while nothing was recorded of them: they are in no sum of GPUs."""
    funnel: Funnel
    groups: tuple[Group, ...]
    findings: int
    """Findings that were open then."""
    before: datetime | None
    after: datetime | None
    """The nearest moments at which a verdict changed anywhere."""

    @property
    def nodes(self) -> int:
        return self.figures.nodes

    @property
    def by_verdict(self) -> dict[str, int]:
        return self.figures.by_verdict


_FIELD = {"cluster": "cluster__name", "product": "product", "mode": "mode"}


def fleet_at(at: datetime, *, cluster: str = "", by: str = "cluster") -> Past:
    """The fleet at a moment. Groups are those of today's labels. A constant number of queries."""
    nodes: QuerySet[Node] = all_nodes()
    periods = VerdictPeriod.objects.filter(period__contains=at, node__cluster__removed_at__isnull=True)
    changes = VerdictPeriod.objects.filter(continues_since__isnull=True)
    findings = FindingRow.objects.filter(period__contains=at)
    if cluster:
        nodes = nodes.filter(cluster__name=cluster)
        periods = periods.filter(node__cluster__name=cluster)
        changes = changes.filter(node__cluster__name=cluster)
        findings = findings.filter(cluster__name=cluster)
    figures = figures_at(nodes, at)
    total = sum_nodes(figures.values())
    return Past(
        at=at,
        figures=total,
        unjudged=sum(row is NOT_KEPT for row in figures.values()),
        funnel=_funnel(at, periods, Counter(total.by_verdict)),
        groups=_groups(nodes, figures, periods, by),
        findings=findings.count(),
        before=changes.filter(period__startswith__lt=at)
        .order_by("-period__startswith")
        .values_list("period__startswith", flat=True)
        .first(),
        after=changes.filter(period__startswith__gt=at)
        .order_by("period__startswith")
        .values_list("period__startswith", flat=True)
        .first(),
    )


def _groups(
    nodes: QuerySet[Node], figures: dict[int, NodeFigures], periods: QuerySet[VerdictPeriod], by: str
) -> tuple[Group, ...]:
    groups = {period.node_id: period for period in periods.only("node_id", "reason", "period", "continues_since")}
    members: dict[str, list[tuple[Tile, NodeFigures]]] = defaultdict(list)
    rows = nodes.filter(pk__in=list(figures)).order_by("name").values_list("pk", _FIELD[by], "cluster__name", "name")
    for pk, group, cluster, name in rows:
        period = groups.get(pk)
        reason, since = (period.reason, period.since) if period else ("", None)
        tile = tile_of(cluster, name, figures[pk], reason, since, stale=False)
        members[group or "Unknown"].append((tile, figures[pk]))
    return tuple(group_of(name, members[name], by) for name in sorted(members))


def _funnel(at: datetime, verdicts: QuerySet[VerdictPeriod], by_verdict: Counter[str]) -> Funnel:
    """Returns the status of each rung at that time. A period does not keep waivers."""
    numbers = {
        item["id"]: item["number"]
        for rungs in Node.objects.order_by("-changed_at").values_list("rungs", flat=True)[:1]
        for item in rungs
    }
    excluded = by_verdict[Verdict.EXCLUDED]
    counted = verdicts.exclude(verdict=Verdict.EXCLUDED).order_by().values("node")
    result: dict[str, Counter[str]] = defaultdict(Counter)
    for rung, status in RungPeriod.objects.filter(period__contains=at, node__in=counted).order_by().values_list("rung", "status"):
        result[rung][status] += 1
    required = required_rung()
    return Funnel(
        rungs=tuple(
            FunnelRung(
                numbers.get(rung, 99), rung, values["pass"] + values["warn"], dict(values), numbers.get(rung, 99) <= required
            )
            for rung, values in sorted(result.items(), key=lambda pair: numbers.get(pair[0], 99))
        ),
        counted=sum(by_verdict.values()) - excluded if result else 0,
        excluded=excluded,
        unjudged=0,
    )
