"""The fleet in figures."""

from __future__ import annotations

from collections import Counter

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.api.filtering import FilterSets
from fleet.filters import NodeFilters
from fleet.selectors import fleet as select
from fleet.selectors import nodes
from fleet.selectors.states import verdict_of


class FleetNodes(serializers.Serializer):
    total = serializers.IntegerField()
    by_verdict = serializers.DictField(child=serializers.IntegerField())
    by_state = serializers.DictField(child=serializers.IntegerField())


class FleetMissing(serializers.Serializer):
    state = serializers.CharField()
    reason = serializers.CharField()
    count = serializers.IntegerField()
    nodes = serializers.IntegerField()


class FleetGpus(serializers.Serializer):
    """Physical GPUs. `usable` needs verdicts: null until the readiness ladder judges."""

    expected = serializers.IntegerField()
    physical = serializers.IntegerField(allow_null=True)
    offered = serializers.IntegerField()
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
        """Physical GPUs offered of expected, the missing ones by reason, and slots."""
        rows = FilterSets().filter_queryset(request, nodes.nodes(), self)
        found = select.summary(rows)
        verdicts = Counter(verdict_of(node).verdict for node in rows.only("state", "cluster"))
        return Response(
            {
                "clusters": found.clusters,
                "nodes": {"total": found.nodes, "by_verdict": dict(verdicts), "by_state": found.by_state},
                "gpus": {
                    "expected": found.expected,
                    "physical": found.physical,
                    "offered": found.offered,
                    "usable": None,
                    "missing": [
                        {"state": m.state, "reason": m.reason, "count": m.count, "nodes": m.nodes} for m in found.missing
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
