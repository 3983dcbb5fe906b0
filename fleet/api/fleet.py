"""The fleet in figures."""

from __future__ import annotations

import msgspec
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.api.protocol.filtering import FilterSets
from fleet.filters import NodeFilters
from fleet.selectors import figures as select
from fleet.selectors.nodes import nodes


class FleetNodes(serializers.Serializer):
    total = serializers.IntegerField()
    by_verdict = serializers.DictField(child=serializers.IntegerField())
    by_state = serializers.DictField(child=serializers.IntegerField())
    flapping = serializers.IntegerField(allow_null=True)


class FleetMissing(serializers.Serializer):
    """Physical GPUs that are expected and not usable, by the first broken rung of their node."""

    verdict = serializers.CharField()
    broken_rung = serializers.CharField(allow_null=True)
    reason = serializers.CharField()
    count = serializers.IntegerField()
    nodes = serializers.IntegerField()


class FleetGpus(serializers.Serializer):
    """Physical GPUs: `usable` are those of ready and degraded nodes.

    `missing` adds up to expected − usable. null where the GPUs of no node were counted.
    """

    expected = serializers.IntegerField(allow_null=True)
    physical = serializers.IntegerField(allow_null=True)
    advertised = serializers.IntegerField(allow_null=True)
    usable = serializers.IntegerField(allow_null=True)
    missing = FleetMissing(many=True)
    uncounted_nodes = serializers.IntegerField()


class FleetSlots(serializers.Serializer):
    capacity = serializers.IntegerField(allow_null=True)
    allocatable = serializers.IntegerField(allow_null=True)
    requested = serializers.IntegerField(allow_null=True)
    free = serializers.IntegerField(allow_null=True, help_text="Free slots of ready and degraded nodes.")
    free_unusable = serializers.IntegerField(allow_null=True, help_text="Free slots of every other node.")


class SummarySerializer(serializers.Serializer):
    clusters = serializers.IntegerField()
    nodes = FleetNodes()
    gpus = FleetGpus()
    slots = FleetSlots()
    resources = serializers.ListField(child=serializers.DictField())
    as_of = serializers.DateTimeField(allow_null=True)


class FleetSummary(APIView):
    """Sums over the current nodes, with the filters of the list of nodes."""

    filterset_class = NodeFilters

    @extend_schema(operation_id="fleet_summary", responses=SummarySerializer)
    def get(self, request: Request) -> Response:
        """Physical GPUs usable of expected, the missing ones by reason, nodes by verdict, and slots."""
        rows = FilterSets().filter_queryset(request, nodes.nodes(), self)
        return Response(as_json(select.summary(rows)))


def as_json(summary: select.Summary) -> dict[str, object]:
    """The sums, for SummarySerializer's fields. Sums of GPUs are null where no source counts the GPUs of any node."""
    sums = summary.figures
    counted = sums.is_counted
    return {
        "clusters": summary.clusters,
        "nodes": {
            "total": sums.nodes,
            "by_verdict": sums.by_verdict,
            "by_state": sums.by_state,
            "flapping": sums.flapping,
        },
        "gpus": {
            "expected": sums.expected if counted else None,
            "physical": sums.physical,
            "advertised": sums.advertised if counted else None,
            "usable": sums.usable if counted else None,
            "missing": [{**msgspec.to_builtins(row), "broken_rung": row.broken_rung or None} for row in sums.missing],
            "uncounted_nodes": sums.uncounted_nodes,
        },
        "slots": msgspec.to_builtins(sums.slots) | {"free_unusable": sums.free_unusable},
        "resources": msgspec.to_builtins(sums.resources),
        "as_of": serializers.DateTimeField().to_representation(summary.as_of) if summary.as_of else None,
    }
