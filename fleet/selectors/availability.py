"""How much of the known time nodes were good, over a window: by pool, cluster, product, machine type or node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, F, FloatField, Min, QuerySet, Sum
from django.db.models.functions import Cast

from fleet.domain.history import spans
from fleet.models import Cluster, FindingRow, FleetDay, Node, NodeDay
from fleet.selectors import declarations, figures

GROUPS = {"cluster": "cluster_id", "pool": "pool", "product": "product", "machine_type": "machine_type"}
"""What nodes are grouped by, to the column of FleetDay that tells it."""
BY = (*GROUPS, "node")
_OF_NODE = {"cluster": "node__cluster__name", "product": "node__product", "machine_type": "node__machine_type"}
_SECONDS = tuple(f"{verdict}_s" for verdict in spans.VERDICTS)
_FIGURES = (*_SECONDS, "incidents", "flaps", "down_s", "repaired", "repair_s")


@dataclass(frozen=True, slots=True)
class Row:
    """What a group of nodes (or one node) did over the window. Shares are percent; None is unknown."""

    name: str
    """Of the cluster, pool, product, machine type or node; empty where the nodes do not tell it, or were in no pool."""
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
    promise: float | None = None
    """Percent that the pool promises; None for what is no pool, and for one that promises nothing."""

    @property
    def is_below(self) -> bool | None:
        """Whether the pool was ready for less than it promises; None where it promises nothing, or nothing is known."""
        return None if self.promise is None or self.availability is None else self.availability < self.promise


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
        told = _by_day(since, until, cluster, by, pool)
        return _promised(by, _sorted([_group(name, list(days.values())) for name, days in told.items()]))
    return _promised(by, _sorted(_exact(by, since, until, cluster, pool, now or until)))


def heat_map(by: str, since: datetime, until: datetime, *, cluster: str = "", pool: str | None = None) -> HeatMap:
    """Groups × days of [since, until), the groups by name. One query, and one for the clusters."""
    told = _by_day(since, until, cluster, by, pool)
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
    """Nodes that were good for the least of their known time, and for less than all of it. Two queries, one for the clusters.

    The database sums each node's days and hands out the worst only: of a year of a large fleet these are many rows.
    """
    good = F("ready_s_sum") + F("degraded_s_sum")
    ready = Cast(good, FloatField()) / (good + F("not_ready_s_sum") + F("starting_s_sum"))
    days: Any = _days(since, until, cluster)
    found = (
        days.values("node").annotate(**_sums("_sum"), first=Min("first_bad_at"))
        .filter(not_ready_s_sum__gt=0).annotate(ready=ready).order_by("ready", "-incidents_sum", "node")[:limit]
    )  # fmt: skip
    told = {one["node"]: {name: one[f"{name}_sum"] for name in _FIGURES} | {"first_bad_at": one["first"]} for one in found}
    nodes = Node.objects.select_related("cluster").only("name", "cluster__name").in_bulk(list(told))
    return [_row(nodes[pk].name, nodes[pk].cluster.name, 1, one) for pk, one in told.items()]


def nodes_of_day(day: date, by: str, name: str) -> list[Row]:
    """The nodes behind one cell of the heat map, the least available first; for `by` as in GROUPS."""
    since = datetime(day.year, day.month, day.day, tzinfo=UTC)
    rows = _days(since, since + timedelta(days=1), "")
    return _sorted(_of_nodes(rows.filter(pool=name) if by == "pool" else rows.filter(**{_OF_NODE[by]: name})))


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
    rows = FindingRow.objects.filter(period__overlap=(since, since + timedelta(days=1)), cluster__in=_clusters(""))
    if by == "pool":
        rows = rows.filter(node__in=NodeDay.objects.filter(day=day, pool=name).values("node"))
    else:
        rows = rows.filter(**{_OF_NODE[by]: name})
    found = rows.values("rule", "severity").annotate(nodes=Count("node", distinct=True), text=Min("text"))
    return [RuleOfDay(**one) for one in found.order_by("-nodes", "rule")[:limit]]


def _days(since: datetime, until: datetime, cluster: str, pool: str | None = None) -> QuerySet[NodeDay]:
    return NodeDay.objects.filter(**_within(since, until, _clusters(cluster).values_list("pk", flat=True), pool))


def _within(since: datetime, until: datetime, clusters: Iterable[int], pool: str | None) -> dict[str, Any]:
    days = {"day__gte": since.astimezone(UTC).date(), "day__lte": _last_day(until), "cluster_id__in": list(clusters)}
    return days if pool is None else days | {"pool": pool}


def _promised(by: str, rows: list[Row]) -> list[Row]:
    """The rows of pools with what each promises; one query."""
    if by != "pool":
        return rows
    promises = {spec.slug: spec.policy.promise_percent for spec in declarations.pool_specs()}
    return [replace(row, promise=promises.get(row.name)) for row in rows]


def _clusters(name: str) -> QuerySet[Cluster]:
    configured = Cluster.objects.filter(removed_at__isnull=True)
    return configured.filter(name=name) if name else configured


def _last_day(until: datetime) -> date:
    return (until.astimezone(UTC) - timedelta(microseconds=1)).date()


def _midnight(at: datetime) -> bool:
    return at.astimezone(UTC).time() == datetime.min.time()


def _by_day(
    since: datetime, until: datetime, cluster: str, by: str, pool: str | None
) -> dict[str, dict[date, Mapping[str, Any]]]:
    """Sums over the nodes of each group on each day, the same node once a day."""
    key, names = GROUPS[by], dict(_clusters(cluster).values_list("pk", "name"))
    rows = FleetDay.objects.filter(**_within(since, until, names, pool))
    found: dict[str, dict[date, Mapping[str, Any]]] = defaultdict(dict)
    told = rows.values(key, "day").annotate(**_sums("_sum"), n=Sum("nodes"), first=Min("first_bad_at"))
    for row in told.order_by():
        name = names[row[key]] if by == "cluster" else row[key]
        figures_of_day = {one: row[f"{one}_sum"] for one in _FIGURES}
        found[name][row["day"]] = {**figures_of_day, "nodes": row["n"], "first_bad_at": row["first"]}
    return found


def _sums(suffix: str = "") -> dict[str, Sum]:
    return {f"{name}{suffix}": Sum(name) for name in _FIGURES}


def _group(name: str, days: Sequence[Mapping[str, Any]]) -> Row:
    return _row(name, "", max(day["nodes"] for day in days), _sum(days))


def _of_nodes(rows: QuerySet[NodeDay]) -> list[Row]:
    found = (
        rows.values("node__name", "node__cluster__name", "node").annotate(**_sums(), first_bad_at=Min("first_bad_at")).order_by()
    )
    return [_row(one["node__name"], one["node__cluster__name"], 1, one) for one in found]


def _exact(by: str, since: datetime, until: datetime, cluster: str, pool: str | None, now: datetime) -> list[Row]:
    """Every figure is a sum over time, so a window is its whole days and what is left of it at both ends."""
    first, last = _midnight_after(since), _midnight_before(until)
    told: dict[tuple[int, str], list[Mapping[str, Any]]] = defaultdict(list)
    for start, end in ((since, first), (last, until)) if first <= last else ((since, until),):
        if start < end:
            with connection.cursor() as cursor:
                cursor.execute(figures.statement(), figures.arguments(start, end, now))
                columns = [column.name for column in cursor.description]
                for values in cursor.fetchall():
                    row = dict(zip(columns, values, strict=True))
                    if pool is None or row["pool"] == pool:
                        told[row["node_id"], row["pool"] if by == "pool" else ""].append(row)
    if first < last:
        keys = ("node", "pool") if by == "pool" else ("node",)
        for one in (
            _days(first, last, cluster, pool).values(*keys).annotate(**_sums(), first_bad_at=Min("first_bad_at")).order_by()
        ):
            told[one["node"], one.get("pool", "")].append(one)
    nodes = Node.objects.filter(pk__in={pk for pk, _ in told}, cluster__in=_clusters(cluster)).select_related("cluster")
    known = nodes.only("name", "product", "machine_type", "cluster__name").in_bulk()
    lived = [(known[pk], its_pool, _sum(rows)) for (pk, its_pool), rows in told.items() if pk in known]
    if by == "node":
        return [_row(node.name, node.cluster.name, 1, one) for node, _, one in lived]
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for node, its_pool, one in lived:
        name = {"cluster": node.cluster.name, "pool": its_pool, "product": node.product}.get(by, node.machine_type)
        groups[name].append(one)
    return [_row(name, "", len(rows), _sum(rows)) for name, rows in groups.items()]


def _midnight_before(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _midnight_after(at: datetime) -> datetime:
    before = _midnight_before(at)
    return before if before == at else before + timedelta(days=1)


def _sum(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    rows = list(rows)
    firsts = [row["first_bad_at"] for row in rows if row["first_bad_at"] is not None]
    return {name: sum(row[name] for row in rows) for name in _FIGURES} | {"first_bad_at": min(firsts, default=None)}


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
