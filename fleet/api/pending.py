"""Pods that wait for GPUs, with the reason of each and the change after which most of them would fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.api.explain import QueueSerializer
from fleet.api.protocol import windows
from fleet.api.protocol.lists import FACETS, FORMAT, csv_answer, facet_answer, one_page
from fleet.api.protocol.renderers import CSVRenderer, JSONRenderer
from fleet.selectors.placement import pending as select
from fleet.selectors.placement import queues

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase

_COLUMNS = (
    "cluster",
    "namespace",
    "name",
    "team",
    "slots",
    "requests",
    "created_at",
    "waiting_s",
    "reason",
    "headline",
    "change",
)
_FILTERS = [OpenApiParameter(name, str) for name in select.FILTERS]


class _PendingReason(serializers.Serializer):
    id = serializers.CharField(help_text="A check of explain/, or fits, unknown, not_evaluated, no_nodes.")
    text = serializers.CharField()


class _PodChange(serializers.Serializer):
    text = serializers.CharField()
    patch = serializers.CharField(allow_null=True, help_text="YAML to add to the pod's specification.")
    nodes = serializers.IntegerField(help_text="Nodes that it opens.")


class _FreeingChange(_PodChange):
    pods = serializers.IntegerField(help_text="Pods that would each find a node.")


class PendingPodSerializer(serializers.Serializer):
    """One pod that wants GPUs and is bound to no node. null is unknown, or a request that is in a claim."""

    cluster = serializers.CharField()
    namespace = serializers.CharField()
    name = serializers.CharField()
    team = serializers.CharField(allow_null=True)
    slots = serializers.IntegerField(allow_null=True)
    requests = serializers.DictField(child=serializers.IntegerField())
    created_at = serializers.DateTimeField(allow_null=True)
    waiting_s = serializers.IntegerField(allow_null=True)
    reason = _PendingReason()
    headline = serializers.CharField(allow_null=True)
    change = _PodChange(allow_null=True)
    scheduler_message = serializers.CharField(allow_null=True)
    queue = QueueSerializer(allow_null=True)


class QueuedWorkloadSerializer(serializers.Serializer):
    """A workload that waits in a queue; its pods may not exist yet."""

    cluster = serializers.CharField()
    namespace = serializers.CharField()
    name = serializers.CharField()
    requests = serializers.DictField(child=serializers.IntegerField(allow_null=True))
    queue = QueueSerializer()


class PendingList(serializers.Serializer):
    results = PendingPodSerializer(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    total = serializers.IntegerField(help_text=f"Pods that wait, without filters; at most {select.MOST_PODS:,} are listed.")
    changes = _FreeingChange(many=True, help_text="Changes of pods after which some of them would fit, the best first.")
    queued = QueuedWorkloadSerializer(many=True, help_text="Workloads with GPUs that wait in queues, by cluster and place.")
    queued_total = serializers.IntegerField()
    as_of = serializers.DateTimeField(allow_null=True)


class PendingPods(APIView):
    """Pods that wait for GPUs, with the explain engine's answer for each."""

    renderer_classes = (JSONRenderer, CSVRenderer)

    @extend_schema(operation_id="pending_pods", responses=PendingList, parameters=[*_FILTERS, FORMAT])
    def get(self, request: Request) -> HttpResponseBase:
        """Returns the pods, the oldest first, and the changes after which most of them would fit."""
        filters = _given(request)
        answer = select.pending(timezone.now())
        pods = answer.chosen(filters)
        results = [select.row_json(pod) for pod in pods]
        if request.accepted_renderer.format == "csv":
            return csv_answer(request, "pending-pods", results, _COLUMNS)
        changes = [select.change_json(change) for change in answer.changes(pods)[:20]]
        page = one_page(PendingPodSerializer(results, many=True).data)
        queued = [queues.queued_json(row) for row in answer.queued.rows]
        more = {"queued": queued, "queued_total": answer.queued.total, "as_of": answer.as_of}
        return Response({**page, "total": answer.total, "changes": changes, **more})


class PendingFacets(APIView):
    """Pods by reason, team, age and cluster."""

    @extend_schema(operation_id="pending_pods_facets", responses=FACETS, parameters=_FILTERS)
    def get(self, request: Request) -> Response:
        """Returns the number of pods by value of each filter, under the other filters."""
        return facet_answer(select.pending(timezone.now()).counts(_given(request)))


def _given(request: Request) -> dict[str, str]:
    windows.only(request, select.FILTERS)
    return {name: request.query_params[name] for name in select.FILTERS if name in request.query_params}
