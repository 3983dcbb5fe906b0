"""What the fleet did over a window: availability and changes."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.api import windows
from fleet.api.lists import FACETS, FORMAT, csv_answer, facet_answer, one_page
from fleet.api.renderers import CSVRenderer, JSONRenderer
from fleet.domain.history.changes import KINDS, Group
from fleet.selectors import availability
from fleet.selectors.changes import ChangeLog, change_log

_DAYS = OpenApiParameter("days", bool, description="Each group's days too; for a window of whole days.")
_ROW = (
    "name", "cluster", "nodes", "availability", "unknown", "excluded", "incidents", "flaps", "mttr_s", "down_s",
    "first_bad_at", "promise", "seconds",
)  # fmt: skip


class AvailabilityDay(serializers.Serializer):
    """One day (UTC) of a group. Percentages are of time; null is unknown."""

    day = serializers.DateField()
    availability = serializers.FloatField(allow_null=True)
    unknown = serializers.FloatField(allow_null=True)


class AvailabilityRow(serializers.Serializer):
    """A group of nodes, or one node, over the window. Percentages are of time; null is unknown. `promise` is a pool's; `days`
    are told where they are asked for, and hold the days on which the group had a node."""

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
    promise = serializers.FloatField(allow_null=True)
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
    """Percent of known time in which nodes were ready or degraded; unknown and excluded time are in neither side."""

    renderer_classes = (JSONRenderer, CSVRenderer)

    @extend_schema(
        operation_id="history_availability",
        responses=AvailabilityList,
        parameters=[
            OpenApiParameter("by", str, enum=list(availability.BY)),
            windows.WINDOW, windows.SINCE, windows.UNTIL, windows.CLUSTER, windows.POOL, _DAYS, FORMAT,
        ],
    )  # fmt: skip
    def get(self, request: Request) -> Any:
        """One row for each group, the lowest first. Whole days come from figures that are refreshed every minute; a
        window given by `since` and `until` is exact to the second. By pool, a node's day (or part of one) counts for the
        pool that it was in for most of it; a row without a name is of nodes in no pool."""
        windows.only(request, ("by", "window", "since", "until", "cluster", "pool", "days"))
        by = windows.choice(request, "by", availability.BY, "cluster")
        since, until, whole = windows.window(request)
        cluster, pool = request.query_params.get("cluster", ""), request.query_params.get("pool")
        rows = availability.availability(by, since, until, cluster=cluster, pool=pool, now=None if whole else timezone.now())
        days = _days(request, by, since, until, whole=whole, cluster=cluster, pool=pool)
        told = [
            {**_fields(row), "name": row.name or None, "cluster": row.cluster or None, "days": days and days.get(row.name, [])}
            for row in rows
        ]
        if request.accepted_renderer.format == "csv":
            return csv_answer("availability", told, [name for name in _ROW if name != "seconds"])
        return Response({"by": by, **_window(since, until), **one_page(AvailabilityRow(told, many=True).data)})


def _days(
    request: Request, by: str, since: datetime, until: datetime, *, whole: bool, cluster: str, pool: str | None
) -> dict[str, list[availability.Cell]] | None:
    """Name of the group to its days, where they are asked for."""
    if windows.choice(request, "days", ("true", "false"), "false") == "false":
        return None
    if not whole or by == "node":
        raise ValidationError({"days": ["Days are told of groups, over a window of whole days (`window`)."]})
    heat = availability.heat_map(by, since, until, cluster=cluster, pool=pool)
    return {row.name: [cell for cell in row.cells if cell is not None] for row in heat.rows}


def _fields(row: availability.Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _ROW}


class AvailabilityFacets(APIView):
    """Clusters and pools of the window, with the nodes that each had."""

    @extend_schema(
        operation_id="history_availability_facets",
        responses=FACETS,
        parameters=[windows.WINDOW, windows.SINCE, windows.UNTIL, windows.CLUSTER, windows.POOL],
    )
    def get(self, request: Request) -> Response:
        """How many nodes of each cluster and pool, each under the other filter. `unknown` counts nodes in no pool."""
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
    """Nodes of one cluster that changed alike, one soon after the other."""

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
    """What nodes told Kubernetes anew: drivers, MIG geometry, taints, labels …, with nodes that changed alike together."""

    renderer_classes = (JSONRenderer, CSVRenderer)

    @extend_schema(
        operation_id="history_changes",
        responses=ChangeList,
        parameters=[*_CHANGE_PARAMETERS, OpenApiParameter("limit", int), OpenApiParameter("cursor", str), FORMAT],
    )
    def get(self, request: Request) -> Any:
        """The newest first. `complete_from` is later than `since` where there were too many changes to be read."""
        windows.only(request, ("kind", "cluster", "node", "window", "since", "until", "limit", "cursor"))
        since, until, log = _change_log(request)
        limit, start = windows.number(request, "limit", 100, 1, 1_000), windows.number(request, "cursor", 0, 0, 1_000_000)
        if request.accepted_renderer.format == "csv":
            rows = ({**_change(one), "nodes": " ".join(one.nodes)} for one in log.groups)
            return csv_answer("changes", rows, ("kind", "title", "cluster", "at", "until", "count", "nodes"))
        shown = log.groups[start : start + limit]
        following = start + limit if start + limit < len(log.groups) else None
        return Response(
            {
                **_window(since, until),
                "complete_from": _time(log.complete_from),
                "results": ChangeGroup([_change(one) for one in shown], many=True).data,
                "next": _page(request, since, until, following),
                "previous": _page(request, since, until, max(0, start - limit) if start else None),
            }
        )


class ChangeFacets(APIView):
    """Kinds and clusters of the changes, with counts."""

    @extend_schema(operation_id="history_changes_facets", responses=FACETS, parameters=_CHANGE_PARAMETERS)
    def get(self, request: Request) -> Response:
        """How many changes of each kind and cluster, under the current filter."""
        windows.only(request, ("kind", "cluster", "node", "window", "since", "until"))
        *_, log = _change_log(request)
        return facet_answer(
            {"kind": Counter(one.kind for one in log.groups), "cluster": Counter(one.cluster for one in log.groups)}
        )


def _change_log(request: Request) -> tuple[Any, Any, ChangeLog]:
    since, until, _ = windows.window(request, days=7)
    kinds = _values(request, "kind")
    if strangers := sorted(set(kinds) - set(KINDS)):
        raise ValidationError({"kind": [f"There is no kind {', '.join(strangers)}. Kinds: {', '.join(KINDS)}."]})
    node = request.query_params.get("node", "")
    return since, until, change_log(since, until, clusters=_values(request, "cluster"), kinds=kinds, node=node)


def _change(one: Group) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "title": one.title,
        "cluster": one.cluster,
        "at": one.at,
        "until": one.until,
        "count": len(one.nodes),
        "nodes": list(one.nodes),
        "changes": [dict(zip(("section", "key", "before", "after"), told, strict=True)) for told in one.told],
    }


def _values(request: Request, name: str) -> list[str]:
    return [part for text in request.query_params.getlist(name) for part in text.split(",") if part]


def _page(request: Request, since: Any, until: Any, start: int | None) -> str | None:
    """The address of a neighbouring page, with the window nailed down: what happens meanwhile must not move the pages."""
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
