"""How long new nodes take to become good."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.api import windows
from fleet.api.lists import FACETS, FORMAT, csv_answer, facet_answer, one_page
from fleet.api.renderers import CSVRenderer, JSONRenderer
from fleet.selectors import bootstrap

_ROW = ("name", "nodes", "median_min", "p90_min", "waiting")


class BootstrapRow(serializers.Serializer):
    """Minutes from kubelet Ready to the first verdict ready or degraded, of the nodes that got there in the window."""

    name = serializers.CharField(allow_null=True)
    nodes = serializers.IntegerField()
    median_min = serializers.FloatField()
    p90_min = serializers.FloatField()
    waiting = serializers.IntegerField()


class BootstrapList(serializers.Serializer):
    results = BootstrapRow(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class BootstrapTimes(APIView):
    """How long new nodes take to become good. Nodes that nobody saw joining are in no figure."""

    renderer_classes = (JSONRenderer, CSVRenderer)

    @extend_schema(
        operation_id="history_bootstrap",
        responses=BootstrapList,
        parameters=[
            OpenApiParameter("by", str, enum=list(bootstrap.BY)),
            windows.WINDOW, windows.SINCE, windows.UNTIL, windows.CLUSTER, FORMAT,
        ],
    )  # fmt: skip
    def get(self, request: Request) -> Any:
        """One row for each group, the slowest median first."""
        windows.only(request, ("by", "window", "since", "until", "cluster"))
        by = windows.choice(request, "by", list(bootstrap.BY), "machine_type")
        since, until, _ = windows.window(request)
        rows = bootstrap.bootstrap_times(by, since, until, cluster=request.query_params.get("cluster", ""))
        told = [{**{name: getattr(row, name) for name in _ROW}, "name": row.name or None} for row in rows]
        if request.accepted_renderer.format == "csv":
            return csv_answer("bootstrap", told, _ROW)
        return Response(one_page(BootstrapRow(told, many=True).data))


class BootstrapFacets(APIView):
    """Clusters of the window, with the nodes that became good in it."""

    @extend_schema(
        operation_id="history_bootstrap_facets", responses=FACETS, parameters=[windows.WINDOW, windows.SINCE, windows.UNTIL]
    )
    def get(self, request: Request) -> Response:
        """How many nodes of each cluster; the filter by cluster itself does not count."""
        windows.only(request, ("by", "window", "since", "until", "cluster"))
        since, until, _ = windows.window(request)
        return facet_answer({"cluster": {row.name: row.nodes for row in bootstrap.bootstrap_times("cluster", since, until)}})
