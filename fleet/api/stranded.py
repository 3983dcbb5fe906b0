"""Stranded capacity: free GPUs that no wanted shape can use, and the smallest move that frees a replica."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.api.protocol import windows
from fleet.api.protocol.lists import FORMAT, csv_answer, one_page
from fleet.api.protocol.renderers import CSVRenderer, JSONRenderer
from fleet.domain.stranded.report import KINDS
from fleet.selectors.placement import stranded as select

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase

_COLUMNS = ("by", "name", "title", "free_gpus", "stranded_gpus", "nodes", "unknown_nodes", "reasons", "smallest_move", "note")


class _StrandedReason(serializers.Serializer):
    id = serializers.CharField()
    text = serializers.CharField()
    gpus = serializers.IntegerField()


class _MovedPod(serializers.Serializer):
    cluster = serializers.CharField()
    namespace = serializers.CharField()
    name = serializers.CharField()
    gpus = serializers.IntegerField()
    to = serializers.CharField()

    def get_fields(self) -> dict[str, serializers.Field]:
        return {**super().get_fields(), "from": serializers.CharField()}  # a keyword of Python


class _FreedReplica(serializers.Serializer):
    replicas = serializers.IntegerField()
    gpus = serializers.IntegerField(help_text="Of one replica.")
    title = serializers.CharField()
    workload_class = serializers.CharField(allow_null=True, help_text="Slug; null for pods that were seen.")


class _SmallestMove(serializers.Serializer):
    text = serializers.CharField()
    pods = _MovedPod(many=True, help_text="In an order in which each fits after the previous ones.")
    frees = _FreedReplica()


class StrandedRow(serializers.Serializer):
    """One product, pool or class. Of a class, stranded is what this class cannot use; else what no wanted shape can use."""

    by = serializers.ChoiceField(KINDS)
    name = serializers.CharField(allow_null=True, help_text="Product, or slug of the pool or class.")
    title = serializers.CharField()
    free_gpus = serializers.IntegerField(help_text="Whole GPUs that nothing requested, on nodes of every verdict.")
    stranded_gpus = serializers.IntegerField()
    nodes = serializers.IntegerField()
    unknown_nodes = serializers.IntegerField(help_text="Nodes whose free GPUs or CPU are unknown: in neither number.")
    reasons = _StrandedReason(many=True)
    smallest_move = _SmallestMove(allow_null=True)
    note = serializers.CharField(allow_null=True, help_text="Why there is no move.")


class StrandedList(serializers.Serializer):
    results = StrandedRow(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    not_evaluated = serializers.ListField(child=serializers.CharField())
    as_of = serializers.DateTimeField(allow_null=True)


class StrandedCapacity(APIView):
    """Free GPUs that cannot be used. Nothing is moved: a move is only a suggestion."""

    renderer_classes = (JSONRenderer, CSVRenderer)

    @extend_schema(
        operation_id="capacity_stranded",
        responses=StrandedList,
        parameters=[OpenApiParameter("by", str, enum=list(KINDS), description="Only rows of this kind."), FORMAT],
    )
    def get(self, request: Request) -> HttpResponseBase:
        """Returns a row per product, pool and class, the most stranded GPUs of each kind first."""
        windows.only(request, ("by",))
        by = windows.choice(request, "by", ["", *KINDS], "")
        answer = select.stranded(timezone.now())
        results = [select.row_json(row) for row in answer.rows(by)]
        if request.accepted_renderer.format == "csv":
            return csv_answer(request, "stranded", results, _COLUMNS)
        page = one_page(StrandedRow(results, many=True).data)
        return Response({**page, "not_evaluated": list(select.NOT_EVALUATED), "as_of": answer.as_of})
