"""How much of the known time nodes were good, over a window: by cluster, product, machine type or node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Min, QuerySet, Sum

from fleet.domain.history import spans
from fleet.models import Cluster, FindingRow, Node, NodeDay
from fleet.selectors import figures

GROUPS = {"cluster": "node__cluster__name", "product": "node__product", "machine_type": "node__machine_type"}
BY = (*GROUPS, "node")
_SECONDS = tuple(f"{verdict}_s" for verdict in spans.VERDICTS)
_COUNTS = ("incidents", "flaps", "down_s", "repaired", "repair_s")


@dataclass(frozen=True, slots=True)
class Row:
    """What a group of nodes (or one node) did over the window. Shares are percent; None is unknown."""

    name: str
    """Of the cluster, product, machine type or node; empty where the nodes do not tell it."""
    cluster: str
    """Of a node; empty for groups."""
    nodes: int
    """The most that were there on one day: a node that was replaced counts once."""
    seconds: dict[str, int]
    """Node-seconds by verdict."""
    availability: float | None
    """Ready or degraded, of known time; unknown and excluded time are in neither side."""
    unknown: float | None
    """Unknown, of all time."""
    excluded: float | None
    incidents: int
    flaps: int
    down_s: int
    repaired: int
    mttr_s: float | None
    """Mean time from the beginning to the repair of the incidents that were repaired in the window; None without any."""
    first_bad_at: datetime | None
    """When the first incident of the window began."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One group on one day."""

    day: date
    availability: float | None
    unknown: float | None
    is_unknown: bool
    """Nobody knows for more time than somebody does: the figure would speak for the lesser part."""


@dataclass(frozen=True, slots=True)
class HeatRow:
    name: str
    nodes: int
    cells: tuple[Cell | None, ...]
    """One for each day of the map; None where the group had no node."""
    total: Row


@dataclass(frozen=True, slots=True)
class HeatMap:
    by: str
    days: tuple[date, ...]
    rows: tuple[HeatRow, ...]


def availability(by: str, since: datetime, until: datetime, *, cluster: str = "", now: datetime | None = None) -> list[Row]:
    """One row for each group with any history in [since, until), the lowest availability first.

    Without `now`, days (UTC) come from their figures, as fresh as the last refresh, the last one as far as it is there. With
    it, the parts of a window that are no whole days are asked of the periods themselves, as they stand at `now`.
    """
    if _midnight(since) and (_midnight(until) or now is None):
        rows = _days(since, until, cluster)
        return _sorted(_of_nodes(rows) if by == "node" else _of_groups(rows, by))
    return _sorted(_exact(by, since, until, cluster, now or until))


def heat_map(by: str, since: datetime, until: datetime, *, cluster: str = "") -> HeatMap:
    """Groups × days of [since, until), the groups by name. One query, and one for the clusters."""
    told = _by_day(_days(since, until, cluster), by)
    totals = {name: _group(name, list(days.values())) for name, days in told.items()}
    first, last = since.astimezone(UTC).date(), _last_day(until)
    days = tuple(first + timedelta(days=number) for number in range((last - first).days + 1))
    return HeatMap(
        by=by,
        days=days,
        rows=tuple(
            HeatRow(
                name,
                totals[name].nodes,
                tuple(_cell(day, _seconds(told[name][day])) if day in told[name] else None for day in days),
                totals[name],
            )
            for name in sorted(told)
        ),
    )


def worst_nodes(since: datetime, until: datetime, *, cluster: str = "", limit: int = 5) -> list[Row]:
    """Nodes that were good for the least of their known time, and for less than all of it."""
    rows = _of_nodes(_days(since, until, cluster).filter(not_ready_s__gt=0))
    names = {(row.cluster, row.name) for row in rows}
    whole = [row for row in availability("node", since, until, cluster=cluster) if (row.cluster, row.name) in names]
    return whole[:limit]


def nodes_of_day(day: date, by: str, name: str) -> list[Row]:
    """The nodes behind one cell of the heat map, the least available first; for `by` as in GROUPS."""
    since = datetime(day.year, day.month, day.day, tzinfo=UTC)
    rows = _days(since, since + timedelta(days=1), "").filter(**{GROUPS[by]: name})
    return _sorted(_of_nodes(rows))


@dataclass(frozen=True, slots=True)
class RuleOfDay:
    """Findings of one rule that stood on the nodes of a group on one day."""

    rule: str
    severity: str
    nodes: int
    text: str
    """Of one of them."""


def findings_of_day(day: date, by: str, name: str, limit: int = 12) -> list[RuleOfDay]:
    """What stood on the nodes behind one cell, on the most nodes first."""
    since = datetime(day.year, day.month, day.day, tzinfo=UTC)
    rows = FindingRow.objects.filter(
        period__overlap=(since, since + timedelta(days=1)), cluster__in=_clusters(""), **{GROUPS[by]: name}
    )
    found = rows.values("rule", "severity").annotate(nodes=Count("node", distinct=True), text=Min("text"))
    return [RuleOfDay(**one) for one in found.order_by("-nodes", "rule")[:limit]]


def _days(since: datetime, until: datetime, cluster: str) -> QuerySet[NodeDay]:
    ids = list(_clusters(cluster).values_list("pk", flat=True))
    return NodeDay.objects.filter(day__gte=since.astimezone(UTC).date(), day__lte=_last_day(until), cluster_id__in=ids)


def _clusters(name: str) -> QuerySet[Cluster]:
    configured = Cluster.objects.filter(removed_at__isnull=True)
    return configured.filter(name=name) if name else configured


def _last_day(until: datetime) -> date:
    return (until.astimezone(UTC) - timedelta(microseconds=1)).date()


def _midnight(at: datetime) -> bool:
    return at.astimezone(UTC).time() == datetime.min.time()


def _by_day(rows: QuerySet[NodeDay], by: str) -> dict[str, dict[date, Mapping[str, Any]]]:
    """Sums over the nodes of each group on each day: so many rows that adding them up costs nothing, and no node has to be
    told apart, for it has one row a day."""
    key = GROUPS[by]
    sums = {name: Sum(name) for name in (*_SECONDS, *_COUNTS)}
    found: dict[str, dict[date, Mapping[str, Any]]] = defaultdict(dict)
    for row in rows.values(key, "day").annotate(**sums, first_bad_at=Min("first_bad_at"), nodes=Count("pk")).order_by():
        found[row[key]][row["day"]] = row
    return found


def _of_groups(rows: QuerySet[NodeDay], by: str) -> list[Row]:
    return [_group(name, list(days.values())) for name, days in _by_day(rows, by).items()]


def _group(name: str, days: Sequence[Mapping[str, Any]]) -> Row:
    return _row(name, "", max(day["nodes"] for day in days), _sum(days))


def _of_nodes(rows: QuerySet[NodeDay]) -> list[Row]:
    sums = {name: Sum(name) for name in (*_SECONDS, *_COUNTS)}
    found = rows.values("node__name", "node__cluster__name", "node").annotate(**sums, first_bad_at=Min("first_bad_at")).order_by()
    return [_row(one["node__name"], one["node__cluster__name"], 1, one) for one in found]


def _exact(by: str, since: datetime, until: datetime, cluster: str, now: datetime) -> list[Row]:
    """Every figure is a sum over time, so a window is its whole days and what is left of it at both ends."""
    first, last = _midnight_after(since), _midnight_before(until)
    told: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for start, end in ((since, first), (last, until)) if first <= last else ((since, until),):
        if start < end:
            with connection.cursor() as cursor:
                cursor.execute(figures.statement(), figures.arguments(start, end, now))
                columns = [column.name for column in cursor.description]
                for row in cursor.fetchall():
                    told[row[0]].append(dict(zip(columns, row, strict=True)))
    if first < last:
        sums = {name: Sum(name) for name in (*_SECONDS, *_COUNTS)}
        for one in _days(first, last, cluster).values("node").annotate(**sums, first_bad_at=Min("first_bad_at")).order_by():
            told[one["node"]].append(one)
    nodes = Node.objects.filter(pk__in=told, cluster__in=_clusters(cluster)).select_related("cluster")
    nodes = nodes.only("name", "product", "machine_type", "cluster__name")
    if by == "node":
        return [_row(node.name, node.cluster.name, 1, _sum(told[node.pk])) for node in nodes]
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for node in nodes:
        name = {"cluster": node.cluster.name, "product": node.product}.get(by, node.machine_type)
        groups[name].append(_sum(told[node.pk]))
    return [_row(name, "", len(rows), _sum(rows)) for name, rows in groups.items()]


def _midnight_before(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _midnight_after(at: datetime) -> datetime:
    before = _midnight_before(at)
    return before if before == at else before + timedelta(days=1)


def _sum(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    rows = list(rows)
    firsts = [row["first_bad_at"] for row in rows if row["first_bad_at"] is not None]
    return {name: sum(row[name] for row in rows) for name in (*_SECONDS, *_COUNTS)} | {"first_bad_at": min(firsts, default=None)}


def _row(name: str, cluster: str, nodes: int, told: Mapping[str, Any]) -> Row:
    seconds = _seconds(told)
    whole = sum(seconds.values())
    return Row(
        name=name,
        cluster=cluster,
        nodes=nodes,
        seconds=seconds,
        availability=spans.availability(seconds),
        unknown=100 * seconds["unknown"] / whole if whole else None,
        excluded=100 * seconds["excluded"] / whole if whole else None,
        incidents=int(told["incidents"]),
        flaps=int(told["flaps"]),
        down_s=int(told["down_s"]),
        repaired=int(told["repaired"]),
        mttr_s=float(told["repair_s"]) / told["repaired"] if told["repaired"] else None,
        first_bad_at=told["first_bad_at"],
    )


def _seconds(told: Mapping[str, Any]) -> dict[str, int]:
    return {verdict: int(told[f"{verdict}_s"]) for verdict in spans.VERDICTS}


def _cell(day: date, seconds: dict[str, int]) -> Cell:
    whole = sum(seconds.values())
    return Cell(
        day=day,
        availability=spans.availability(seconds),
        unknown=100 * seconds["unknown"] / whole if whole else None,
        is_unknown=seconds["unknown"] > spans.known(seconds),
    )


def _sorted(rows: list[Row]) -> list[Row]:
    """The lowest first; those of which nothing is known last."""
    return sorted(rows, key=lambda row: (row.availability is None, row.availability or 0, -row.incidents, row.cluster, row.name))
