"""The fleet in figures."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.api.filtering import FilterSets
from fleet.filters import NodeFilters
from fleet.selectors import fleet as select
from fleet.selectors import nodes


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
    """Physical GPUs: `usable` are those of ready and degraded nodes; `missing` adds up to expected − usable. null where nobody
    counted the cards of any node."""

    expected = serializers.IntegerField(allow_null=True)
    physical = serializers.IntegerField(allow_null=True)
    offered = serializers.IntegerField(allow_null=True)
    usable = serializers.IntegerField(allow_null=True)
    missing = FleetMissing(many=True)
    uncounted_nodes = serializers.IntegerField()


class FleetSlots(serializers.Serializer):
    capacity = serializers.IntegerField(allow_null=True)
    allocatable = serializers.IntegerField(allow_null=True)
    requested = serializers.IntegerField(allow_null=True)
    free = serializers.IntegerField(allow_null=True)


class SummarySerializer(serializers.Serializer):
    clusters = serializers.IntegerField()
    nodes = FleetNodes()
    gpus = FleetGpus()
    slots = FleetSlots()
    resources = serializers.ListField(child=serializers.DictField())
    as_of = serializers.DateTimeField(allow_null=True)


class FleetSummary(APIView):
    """Sums over the nodes that are there; takes the filters of the list of nodes."""

    filterset_class = NodeFilters

    @extend_schema(operation_id="fleet_summary", responses=SummarySerializer)
    def get(self, request: Request) -> Response:
        """Physical GPUs usable of expected, the missing ones by reason, nodes by verdict, and slots."""
        rows = FilterSets().filter_queryset(request, nodes.nodes(), self)
        found = select.summary(rows)
        # nobody counted a single card: then 0 would be a guess
        counted = not found.nodes or found.uncounted_nodes < found.nodes
        return Response(
            {
                "clusters": found.clusters,
                "nodes": {
                    "total": found.nodes,
                    "by_verdict": found.by_verdict,
                    "by_state": found.by_state,
                    "flapping": found.flapping,
                },
                "gpus": {
                    "expected": found.expected if counted else None,
                    "physical": found.physical,
                    "offered": found.offered if counted else None,
                    "usable": found.usable if counted else None,
                    "missing": [
                        {
                            "verdict": m.verdict,
                            "broken_rung": m.broken_rung or None,
                            "reason": m.reason,
                            "count": m.count,
                            "nodes": m.nodes,
                        }
                        for m in found.missing
                    ],
                    "uncounted_nodes": found.uncounted_nodes,
                },
                "slots": {
                    "capacity": found.slots.capacity,
                    "allocatable": found.slots.allocatable,
                    "requested": found.slots.requested,
                    "free": found.slots.free,
                },
                "resources": list(found.resources),
                "as_of": found.as_of,
            }
        )
