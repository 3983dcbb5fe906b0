"""Time from kubelet Ready to the first good verdict of new nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.api.protocol import windows
from fleet.api.protocol.lists import FACETS, FORMAT, csv_answer, facet_answer, one_page
from fleet.api.protocol.renderers import CSVRenderer, JSONRenderer
from fleet.selectors.history import startup_times

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase

_ROW = ("name", "nodes", "median_min", "p90_min", "waiting")


class BootstrapRow(serializers.Serializer):
    """Minutes from kubelet Ready to the first verdict ready or degraded, of the nodes that reached it in the window."""

    name = serializers.CharField(allow_null=True)
    nodes = serializers.IntegerField()
    median_min = serializers.FloatField()
    p90_min = serializers.FloatField()
    waiting = serializers.IntegerField()


class BootstrapList(serializers.Serializer):
    results = BootstrapRow(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class StartupTimes(APIView):
    """Time from a node's kubelet Ready to its first good verdict. Nodes whose joining was not observed are not counted."""

    renderer_classes = (JSONRenderer, CSVRenderer)

    @extend_schema(
        operation_id="history_bootstrap",
        responses=BootstrapList,
        parameters=[
            OpenApiParameter("by", str, enum=list(startup_times.BY)),
            windows.WINDOW, windows.SINCE, windows.UNTIL, windows.CLUSTER, FORMAT,
        ],
    )  # fmt: skip
    def get(self, request: Request) -> HttpResponseBase:
        """Returns one row per group, the slowest median first."""
        windows.only(request, ("by", "window", "since", "until", "cluster"))
        by = windows.choice(request, "by", list(startup_times.BY), "machine_type")
        since, until, _ = windows.window(request)
        rows = startup_times.startup_times_by(by, since, until, cluster=request.query_params.get("cluster", ""))
        results = [{**{name: getattr(row, name) for name in _ROW}, "name": row.name or None} for row in rows]
        if request.accepted_renderer.format == "csv":
            return csv_answer(request, "bootstrap", results, _ROW)
        return Response(one_page(BootstrapRow(results, many=True).data))


class StartupFacets(APIView):
    """Clusters of the window, with the nodes that became good in it."""

    @extend_schema(
        operation_id="history_bootstrap_facets", responses=FACETS, parameters=[windows.WINDOW, windows.SINCE, windows.UNTIL]
    )
    def get(self, request: Request) -> Response:
        """Returns the number of nodes per cluster, without the filter by cluster itself."""
        windows.only(request, ("by", "window", "since", "until", "cluster"))
        since, until, _ = windows.window(request)
        return facet_answer({"cluster": {row.name: row.nodes for row in startup_times.startup_times_by("cluster", since, until)}})
