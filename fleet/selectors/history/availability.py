"""Share of known time in which nodes were ready or degraded, over a window: by pool, cluster, product, machine type or node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, F, FloatField, Min, QuerySet, Sum
from django.db.models.functions import Cast

from fleet.domain.history import intervals
from fleet.models import Cluster, FindingRow, FleetDay, Node, NodeDay
from fleet.models.joined import joined
from fleet.selectors import declarations
from fleet.selectors.history import period_sums
from fleet.selectors.history.availability_rows import HeatMap, HeatRow, Row, Sums, cell_of

GROUPS = {"cluster": "cluster_id", "pool": "pool", "product": "product", "machine_type": "machine_type"}
"""Grouping of nodes, to its column of FleetDay."""
BY = (*GROUPS, "node")
_OF_NODE = {"cluster": "node__cluster__name", "product": "node__product", "machine_type": "node__machine_type"}
_SECONDS = tuple(f"{verdict}_s" for verdict in intervals.VERDICTS)
_FIGURES = (*_SECONDS, "incidents", "flaps", "down_s", "repaired", "repair_s")


def availability(
    by: str, since: datetime, until: datetime, *, cluster: str = "", pool: str | None = None, now: datetime | None = None
) -> list[Row]:
    """One row for each group with any history in [since, until), the lowest availability first.

    Without `now`, days (UTC) come from their figures, as fresh as the last refresh, the last one as far as it is there. With
    it, the parts of a window that are no whole days are asked of the periods themselves, as they stand at `now`. By pool, a
    node's day (or part of one) counts for the pool that it was in for most of it.
    """
    if _midnight(since) and (_midnight(until) or now is None):
        if by == "node":
            return _sorted(_of_nodes(_days(since, until, cluster, pool)))
        by_day = _by_day(since, until, cluster, by, pool)
        return _with_targets(by, _sorted([_group(name, list(days.values())) for name, days in by_day.items()]))
    return _with_targets(by, _sorted(_exact(by, since, until, cluster, pool, now or until)))


def heat_map(by: str, since: datetime, until: datetime, *, cluster: str = "", pool: str | None = None) -> HeatMap:
    """Groups × days of [since, until), the groups by name. One query, and one for the clusters."""
    by_day = _by_day(since, until, cluster, by, pool)
    totals = {name: _group(name, list(days.values())) for name, days in by_day.items()}
    first, last = since.astimezone(UTC).date(), _last_day(until)
    days = tuple(first + timedelta(days=number) for number in range((last - first).days + 1))
    return HeatMap(
        by=by,
        starts=tuple(_start_of(day) for day in days),
        rows=tuple(
            HeatRow(
                name,
                totals[name].nodes,
                tuple(cell_of(_start_of(day), by_day[name][day].seconds) if day in by_day[name] else None for day in days),
                totals[name],
            )
            for name in sorted(by_day)
        ),
    )


def worst_nodes(since: datetime, until: datetime, *, cluster: str = "", limit: int = 5) -> list[Row]:
    """Nodes with the lowest share of ready time, without those that were always ready. Two queries, one for the clusters.

    The database sums each node's days and returns the worst only: a year of a large fleet has many rows.
    """
    good = F("ready_s_sum") + F("degraded_s_sum")
    ready = Cast(good, FloatField()) / (good + F("not_ready_s_sum") + F("starting_s_sum"))
    days: Any = _days(since, until, cluster)
    day = (
        days.values("node").annotate(**_sums("_sum"), first=Min("first_bad_at"))
        .filter(not_ready_s_sum__gt=0).annotate(ready=ready).order_by("ready", "-incidents_sum", "node")[:limit]
    )  # fmt: skip
    fields = {item["node"]: _read({name: item[f"{name}_sum"] for name in _FIGURES}, item["first"]) for item in day}
    nodes = Node.objects.select_related("cluster").only("name", "cluster__name").in_bulk(list(fields))
    return [_row(nodes[pk].name, nodes[pk].cluster.name, 1, value) for pk, value in fields.items()]


def nodes_of_day(day: date, by: str, name: str) -> list[Row]:
    """The nodes behind one cell of the heat map, the least available first; for `by` as in GROUPS."""
    since = _start_of(day)
    rows = _days(since, since + timedelta(days=1), "")
    return _sorted(_of_nodes(rows.filter(pool=name) if by == "pool" else rows.filter(**{_OF_NODE[by]: name})))


def nodes_of_step(since: datetime, until: datetime, by: str, name: str) -> list[Row]:
    """The same for a cell of less than a day."""
    if by == "pool":
        return _sorted(_exact("node", since, until, "", name, until))
    group = Node.objects.filter(**{_OF_NODE[by].removeprefix("node__"): name})
    members = set(group.values_list("cluster__name", "name"))
    return [row for row in _sorted(_exact("node", since, until, "", None, until)) if (row.cluster, row.name) in members]


@dataclass(frozen=True, slots=True)
class RuleOfCell:
    """Findings of one rule that were open on the nodes of a group during a cell."""

    rule: str
    severity: str
    nodes: int
    text: str
    """Of one of them."""


def findings_of_cell(since: datetime, until: datetime, by: str, name: str, limit: int = 12) -> list[RuleOfCell]:
    """Returns the findings of the nodes behind one cell, those on the most nodes first."""
    rows = FindingRow.objects.filter(period__overlap=(since, until), cluster__in=_clusters(""))
    if by == "pool":
        # A cell of a day counts a node for one pool only; for its findings the days of that count are asked.
        rows = rows.filter(node__in=NodeDay.objects.filter(day=since.astimezone(UTC).date(), pool=name).values("node"))
    else:
        rows = rows.filter(**{_OF_NODE[by]: name})
    result = rows.values("rule", "severity").annotate(nodes=Count("node", distinct=True), text=Min("text"))
    return [RuleOfCell(**item) for item in result.order_by("-nodes", "rule")[:limit]]


def _days(since: datetime, until: datetime, cluster: str, pool: str | None = None) -> QuerySet[NodeDay]:
    return NodeDay.objects.filter(**_within(since, until, _clusters(cluster).values_list("pk", flat=True), pool))


def _within(since: datetime, until: datetime, clusters: Iterable[int], pool: str | None) -> dict[str, object]:
    days = {"day__gte": since.astimezone(UTC).date(), "day__lte": _last_day(until), "cluster_id__in": list(clusters)}
    return days if pool is None else days | {"pool": pool}


def _with_targets(by: str, rows: list[Row]) -> list[Row]:
    """Returns the rows of pools with their availability targets; one query."""
    if by != "pool":
        return rows
    targets = {spec.slug: spec.policy.availability_target for spec in declarations.pool_specs()}
    return [replace(row, target_percent=targets.get(row.name)) for row in rows]


def _clusters(name: str) -> QuerySet[Cluster]:
    configured = Cluster.objects.filter(removed_at__isnull=True)
    return configured.filter(name=name) if name else configured


def _start_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _last_day(until: datetime) -> date:
    return (until.astimezone(UTC) - timedelta(microseconds=1)).date()


def _midnight(at: datetime) -> bool:
    return at.astimezone(UTC).time() == datetime.min.time()


def _by_day(since: datetime, until: datetime, cluster: str, by: str, pool: str | None) -> dict[str, dict[date, Sums]]:
    """Sums over the nodes of each group on each day, the same node once a day."""
    key, names = GROUPS[by], dict(_clusters(cluster).values_list("pk", "name"))
    rows = FleetDay.objects.filter(**_within(since, until, names, pool))
    result: dict[str, dict[date, Sums]] = defaultdict(dict)
    answer = rows.values(key, "day").annotate(**_sums("_sum"), n=Sum("nodes"), first=Min("first_bad_at"))
    for row in answer.order_by():
        name = names[row[key]] if by == "cluster" else row[key]
        result[name][row["day"]] = _read({item: row[f"{item}_sum"] for item in _FIGURES}, row["first"], row["n"])
    return result


def _sums(suffix: str = "") -> dict[str, Sum]:
    return {f"{name}{suffix}": Sum(name) for name in _FIGURES}


def _group(name: str, days: Sequence[Sums]) -> Row:
    return _row(name, "", max(day.nodes for day in days), _sum(days))


def _of_nodes(rows: QuerySet[NodeDay]) -> list[Row]:
    result = (
        rows.values("node__name", "node__cluster__name", "node").annotate(**_sums(), first_bad_at=Min("first_bad_at")).order_by()
    )
    listed = result.values_list("node__name", "node__cluster__name", "first_bad_at", *_FIGURES)
    return [
        _row(name, cluster, 1, _read(dict(zip(_FIGURES, figures, strict=True)), first_bad_at))
        for name, cluster, first_bad_at, *figures in listed
    ]


def _exact(by: str, since: datetime, until: datetime, cluster: str, pool: str | None, now: datetime) -> list[Row]:
    """Every figure is a sum over time, so a window is its whole days and what is left of it at both ends."""
    first, last = _midnight_after(since), _midnight_before(until)
    fields: dict[tuple[int, str], list[Sums]] = defaultdict(list)
    for start, end in ((since, first), (last, until)) if first <= last else ((since, until),):
        if start < end:
            with connection.cursor() as cursor:
                cursor.execute(period_sums.statement(), period_sums.arguments(start, end, now))
                columns = [column.name for column in cursor.description]
                for values in cursor.fetchall():
                    row = dict(zip(columns, values, strict=True))
                    if pool is None or row["pool"] == pool:
                        figures = _read({name: row[name] for name in _FIGURES}, row["first_bad_at"])
                        fields[row["node_id"], row["pool"] if by == "pool" else ""].append(figures)
    if first < last:
        keys = ("node", "pool") if by == "pool" else ("node",)
        for day in (
            _days(first, last, cluster, pool).values(*keys).annotate(**_sums(), first_bad_at=Min("first_bad_at")).order_by()
        ):
            figures = _read({name: day[name] for name in _FIGURES}, day["first_bad_at"])
            fields[day["node"], day.get("pool", "")].append(figures)
    nodes = joined(Node.objects.filter(pk__in={pk for pk, _ in fields}, cluster__in=_clusters(cluster)), "cluster")
    known = nodes.only("name", "product", "machine_type", "cluster__name").in_bulk()
    lived = [(known[pk], pool_of_days, _sum(rows)) for (pk, pool_of_days), rows in fields.items() if pk in known]
    if by == "node":
        return [_row(node.name, node.cluster.name, 1, item) for node, _, item in lived]
    groups: dict[str, list[Sums]] = defaultdict(list)
    for node, pool_of_days, lifetime in lived:
        name = {"cluster": node.cluster.name, "pool": pool_of_days, "product": node.product}.get(by, node.machine_type)
        groups[name].append(lifetime)
    return [_row(name, "", len(rows), _sum(rows)) for name, rows in groups.items()]


def _midnight_before(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _midnight_after(at: datetime) -> datetime:
    before = _midnight_before(at)
    return before if before == at else before + timedelta(days=1)


def _read(figures: Mapping[str, int | float], first_bad_at: datetime | None, nodes: int = 1) -> Sums:
    """Returns the sums out of the columns of one row, by _FIGURES."""
    return Sums(
        seconds={verdict: int(figures[f"{verdict}_s"]) for verdict in intervals.VERDICTS},
        incidents=int(figures["incidents"]),
        flaps=int(figures["flaps"]),
        down_s=int(figures["down_s"]),
        repaired=int(figures["repaired"]),
        repair_s=float(figures["repair_s"]),
        first_bad_at=first_bad_at,
        nodes=nodes,
    )


def _sum(rows: Iterable[Sums]) -> Sums:
    rows = list(rows)
    return Sums(
        seconds={verdict: sum(row.seconds[verdict] for row in rows) for verdict in intervals.VERDICTS},
        incidents=sum(row.incidents for row in rows),
        flaps=sum(row.flaps for row in rows),
        down_s=sum(row.down_s for row in rows),
        repaired=sum(row.repaired for row in rows),
        repair_s=sum(row.repair_s for row in rows),
        first_bad_at=min((row.first_bad_at for row in rows if row.first_bad_at is not None), default=None),
        nodes=len(rows),
    )


def _row(name: str, cluster: str, nodes: int, sums: Sums) -> Row:
    whole = sum(sums.seconds.values())
    return Row(
        name=name,
        cluster=cluster,
        nodes=nodes,
        seconds=sums.seconds,
        availability=intervals.availability(sums.seconds),
        unknown=100 * sums.seconds["unknown"] / whole if whole else None,
        excluded=100 * sums.seconds["excluded"] / whole if whole else None,
        incidents=sums.incidents,
        flaps=sums.flaps,
        down_s=sums.down_s,
        repaired=sums.repaired,
        mttr_s=sums.repair_s / sums.repaired if sums.repaired else None,
        first_bad_at=sums.first_bad_at,
    )


def _sorted(rows: list[Row]) -> list[Row]:
    """The lowest first; unknown ones last."""
    return sorted(rows, key=lambda row: (row.availability is None, row.availability or 0, -row.incidents, row.cluster, row.name))
