"""Stranded capacity: free GPUs that no wanted shape can use, and the smallest move that frees a replica."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.api.protocol import windows
from fleet.api.protocol.lists import FORMAT, csv_answer, one_page
from fleet.api.protocol.renderers import CSVRenderer, JSONRenderer
from fleet.domain.stranded.report import KINDS
from fleet.selectors.placement import stranded as select
from fleet.selectors.placement import stranded_history as past

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
        by = windows.choice(request, "by", list(KINDS), "")
        answer = select.stranded(timezone.now())
        results = [select.row_json(row) for row in answer.rows(by)]
        if request.accepted_renderer.format == "csv":
            return csv_answer(request, "stranded", results, _COLUMNS)
        page = one_page(StrandedRow(results, many=True).data)
        return Response({**page, "not_evaluated": list(select.NOT_EVALUATED), "as_of": answer.as_of})


class StrandedDayRow(serializers.Serializer):
    """One day. Means are over its samples (one an hour); a day without a sample is missing, which is unknown."""

    day = serializers.DateField()
    by = serializers.ChoiceField(KINDS)
    name = serializers.CharField(allow_null=True)
    free_gpus = serializers.FloatField(help_text="Mean of the day.")
    stranded_gpus = serializers.FloatField(help_text="Mean of the day.")
    most_stranded = serializers.IntegerField()
    samples = serializers.IntegerField()
    unknown_nodes = serializers.IntegerField(help_text="Of the newest sample.")
    reasons = serializers.DictField(child=serializers.IntegerField(), help_text="Reason to GPUs, of the newest sample.")


class StrandedDays(serializers.Serializer):
    results = StrandedDayRow(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class StrandedHistory(APIView):
    """Stranded GPUs of past days."""

    renderer_classes = (JSONRenderer, CSVRenderer)
    _COLUMNS = ("day", "by", "name", "free_gpus", "stranded_gpus", "most_stranded", "samples", "unknown_nodes", "reasons")

    @extend_schema(
        operation_id="capacity_stranded_history",
        responses=StrandedDays,
        parameters=[
            OpenApiParameter("by", str, enum=list(KINDS), description="Only rows of this kind."),
            OpenApiParameter("name", str, description="Only this product, pool or class."),
            OpenApiParameter("days", int, description=f"Days back, today included: 1 to {past.MOST_DAYS}, 30 unless given."),
            FORMAT,
        ],
    )
    def get(self, request: Request) -> HttpResponseBase:
        """Returns a row per day and product, pool or class, oldest first."""
        windows.only(request, ("by", "name", "days"))
        by = windows.choice(request, "by", list(KINDS), "")
        written = request.query_params.get("days", "30")
        if not (written.isascii() and written.isdigit() and len(written) < 4 and 1 <= int(written) <= past.MOST_DAYS):
            raise ValidationError({"days": [f"Enter a whole number from 1 to {past.MOST_DAYS}."]})
        rows = past.days(timezone.now(), int(written), by, request.query_params.get("name"))
        results = [past.day_json(row) for row in rows]
        if request.accepted_renderer.format == "csv":
            return csv_answer(request, "stranded-history", results, self._COLUMNS)
        return Response(one_page(StrandedDayRow(results, many=True).data))
