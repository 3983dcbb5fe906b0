"""Availability and changes over a window."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.api.protocol import windows
from fleet.api.protocol.lists import FACETS, FORMAT, csv_answer, facet_answer, one_page
from fleet.api.protocol.renderers import CSVRenderer, JSONRenderer
from fleet.domain.history.changes import KINDS, Group
from fleet.selectors.history import availability, availability_rows
from fleet.selectors.history.changes import ChangeLog, change_log

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase

_DAYS = OpenApiParameter("days", bool, description="Each group's days too; for a window of whole days.")
_ROW = (
    "name", "cluster", "nodes", "availability", "unknown", "excluded", "incidents", "flaps", "mttr_s", "down_s",
    "first_bad_at", "target_percent", "seconds",
)  # fmt: skip


class AvailabilityDay(serializers.Serializer):
    """One day (UTC) of a group. Percentages are of time; null is unknown."""

    day = serializers.DateField()
    availability = serializers.FloatField(allow_null=True)
    unknown = serializers.FloatField(allow_null=True)


class AvailabilityRow(serializers.Serializer):
    """A group of nodes, or one node, over the window.

    Percentages are of time; null is unknown. `target_percent` is a pool's availability target; `days` are given where
    requested, and hold the days on which the group had a node.
    """

    name = serializers.CharField(allow_null=True)
    cluster = serializers.CharField(allow_null=True)
    nodes = serializers.IntegerField()
    availability = serializers.FloatField(allow_null=True)
    unknown = serializers.FloatField(allow_null=True)
    excluded = serializers.FloatField(allow_null=True)
    incidents = serializers.IntegerField()
    flaps = serializers.IntegerField()
    mttr_s = serializers.FloatField(allow_null=True)
    down_s = serializers.IntegerField()
    first_bad_at = serializers.DateTimeField(allow_null=True)
    target_percent = serializers.FloatField(allow_null=True)
    seconds = serializers.DictField(child=serializers.IntegerField())
    days = AvailabilityDay(many=True, allow_null=True)


class AvailabilityList(serializers.Serializer):
    by = serializers.CharField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    results = AvailabilityRow(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class Availability(APIView):
    """Percent of known time in which nodes were ready or degraded; unknown and excluded time count on neither side."""

    renderer_classes = (JSONRenderer, CSVRenderer)

    @extend_schema(
        operation_id="history_availability",
        responses=AvailabilityList,
        parameters=[
            OpenApiParameter("by", str, enum=list(availability.BY)),
            windows.WINDOW, windows.SINCE, windows.UNTIL, windows.CLUSTER, windows.POOL, _DAYS, FORMAT,
        ],
    )  # fmt: skip
    def get(self, request: Request) -> HttpResponseBase:
        """One row for each group, the lowest first.

        Whole days come from figures that are refreshed every minute; a window given by `since` and `until` is exact to the
        second. By pool, a node's day (or part of one) counts for the pool that it was in for most of it; a row without a name
        is of nodes in no pool.
        """
        windows.only(request, ("by", "window", "since", "until", "cluster", "pool", "days"))
        by = windows.choice(request, "by", availability.BY, "cluster")
        since, until, whole = windows.window(request)
        cluster, pool = request.query_params.get("cluster", ""), request.query_params.get("pool")
        rows = availability.availability(by, since, until, cluster=cluster, pool=pool, now=None if whole else timezone.now())
        days = _days(request, by, since, until, whole=whole, cluster=cluster, pool=pool)
        results = [
            {**_fields(row), "name": row.name or None, "cluster": row.cluster or None, "days": days and days.get(row.name, [])}
            for row in rows
        ]
        if request.accepted_renderer.format == "csv":
            return csv_answer(request, "availability", results, [name for name in _ROW if name != "seconds"])
        return Response({"by": by, **_window(since, until), **one_page(AvailabilityRow(results, many=True).data)})


def _days(  # noqa: PLR0913 the columns of one row
    request: Request, by: str, since: datetime, until: datetime, *, whole: bool, cluster: str, pool: str | None
) -> dict[str, list[availability_rows.Cell]] | None:
    """Name of the group to its days, if requested."""
    if windows.choice(request, "days", ("true", "false"), "false") == "false":
        return None
    if not whole or by == "node":
        raise ValidationError({"days": ["Days are available for groups only, over a window of whole days (`window`)."]})
    heat = availability.heat_map(by, since, until, cluster=cluster, pool=pool)
    return {row.name: [cell for cell in row.cells if cell is not None] for row in heat.rows}


def _fields(row: availability_rows.Row) -> dict[str, object]:
    return {name: getattr(row, name) for name in _ROW}


class AvailabilityFacets(APIView):
    """Clusters and pools of the window, with the nodes that each had."""

    @extend_schema(
        operation_id="history_availability_facets",
        responses=FACETS,
        parameters=[windows.WINDOW, windows.SINCE, windows.UNTIL, windows.CLUSTER, windows.POOL],
    )
    def get(self, request: Request) -> Response:
        """Returns the number of nodes per cluster and pool, each under the other filter. `unknown` counts nodes in no pool."""
        windows.only(request, ("by", "window", "since", "until", "cluster", "pool", "days"))
        since, until, whole = windows.window(request)
        now = None if whole else timezone.now()
        clusters = availability.availability("cluster", since, until, pool=request.query_params.get("pool"), now=now)
        pools = availability.availability("pool", since, until, cluster=request.query_params.get("cluster", ""), now=now)
        return facet_answer(
            {"cluster": {row.name: row.nodes for row in clusters}, "pool": {row.name: row.nodes for row in pools}}
        )


class ToldFact(serializers.Serializer):
    section = serializers.CharField()
    key = serializers.CharField()
    before = serializers.CharField(allow_null=True)
    after = serializers.CharField(allow_null=True)


class ChangeGroup(serializers.Serializer):
    """Nodes of one cluster with the same change at about the same time."""

    kind = serializers.CharField()
    title = serializers.CharField()
    cluster = serializers.CharField()
    at = serializers.DateTimeField()
    until = serializers.DateTimeField()
    count = serializers.IntegerField()
    nodes = serializers.ListField(child=serializers.CharField())
    changes = ToldFact(many=True)


class ChangeList(serializers.Serializer):
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    complete_from = serializers.DateTimeField()
    results = ChangeGroup(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


_CHANGE_PARAMETERS = [
    OpenApiParameter("kind", str, many=True, enum=list(KINDS)), OpenApiParameter("cluster", str, many=True),
    OpenApiParameter("node", str), windows.WINDOW, windows.SINCE, windows.UNTIL,
]  # fmt: skip


class Changes(APIView):
    """Changes of node data: drivers, MIG geometry, taints, labels and more. Nodes with the same change are grouped."""

    renderer_classes = (JSONRenderer, CSVRenderer)

    @extend_schema(
        operation_id="history_changes",
        responses=ChangeList,
        parameters=[*_CHANGE_PARAMETERS, OpenApiParameter("limit", int), OpenApiParameter("cursor", str), FORMAT],
    )
    def get(self, request: Request) -> HttpResponseBase:
        """The newest first. `complete_from` is later than `since` where there were too many changes to read."""
        windows.only(request, ("kind", "cluster", "node", "window", "since", "until", "limit", "cursor"))
        since, until, log = _change_log(request)
        limit, start = windows.number(request, "limit", 100, 1, 1_000), windows.number(request, "cursor", 0, 0, 1_000_000)
        if request.accepted_renderer.format == "csv":
            rows = ({**_change(item), "nodes": " ".join(item.nodes)} for item in log.groups)
            return csv_answer(request, "changes", rows, ("kind", "title", "cluster", "at", "until", "count", "nodes"))
        shown = log.groups[start : start + limit]
        following = start + limit if start + limit < len(log.groups) else None
        return Response(
            {
                **_window(since, until),
                "complete_from": _time(log.complete_from),
                "results": ChangeGroup([_change(entry) for entry in shown], many=True).data,
                "next": _page(request, since, until, following),
                "previous": _page(request, since, until, max(0, start - limit) if start else None),
            }
        )


class ChangeFacets(APIView):
    """Kinds and clusters of the changes, with counts."""

    @extend_schema(operation_id="history_changes_facets", responses=FACETS, parameters=_CHANGE_PARAMETERS)
    def get(self, request: Request) -> Response:
        """Returns the number of changes per kind and cluster, under the current filter."""
        windows.only(request, ("kind", "cluster", "node", "window", "since", "until"))
        *_, log = _change_log(request)
        return facet_answer(
            {"kind": Counter(item.kind for item in log.groups), "cluster": Counter(entry.cluster for entry in log.groups)}
        )


def _change_log(request: Request) -> tuple[datetime, datetime, ChangeLog]:
    since, until, _ = windows.window(request, days=7)
    if not all(request.query_params.getlist("kind")):
        raise ValidationError({"kind": ["Give one of the values, or leave the filter out."]})
    kinds = _values(request, "kind")
    if strangers := sorted(set(kinds) - set(KINDS)):
        raise ValidationError({"kind": [f"Unknown kind: {', '.join(strangers)}. Choose from {', '.join(KINDS)}."]})
    node = request.query_params.get("node", "")
    return since, until, change_log(since, until, clusters=_values(request, "cluster"), kinds=kinds, node=node)


def _change(group: Group) -> dict[str, object]:
    return {
        "kind": group.kind,
        "title": group.title,
        "cluster": group.cluster,
        "at": group.at,
        "until": group.until,
        "count": len(group.nodes),
        "nodes": list(group.nodes),
        "changes": [dict(zip(("section", "key", "before", "after"), item, strict=True)) for item in group.differences],
    }


def _values(request: Request, name: str) -> list[str]:
    return [part for text in request.query_params.getlist(name) for part in text.split(",") if part]


def _page(request: Request, since: datetime, until: datetime, start: int | None) -> str | None:
    """Returns the URL of a neighbouring page, with a fixed window, so that new changes do not shift the pages."""
    if start is None:
        return None
    params = request.query_params.copy()
    params.pop("window", None)
    params["since"], params["until"], params["cursor"] = since.isoformat(), until.isoformat(), str(start)
    return str(request.build_absolute_uri(f"{request.path}?{params.urlencode()}"))


def _time(at: datetime) -> str:
    return str(serializers.DateTimeField().to_representation(at))


def _window(since: datetime, until: datetime) -> dict[str, str]:
    return {"since": _time(since), "until": _time(until)}
