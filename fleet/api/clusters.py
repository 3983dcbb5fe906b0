"""Clusters: state of their collection, and collection runs on demand."""

from __future__ import annotations

from dataclasses import asdict

from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field, inline_serializer
from kombu.exceptions import OperationalError
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from fleet import tasks
from fleet.api.protocol.authentication import caller
from fleet.api.protocol.fields import TextOrNull
from fleet.api.protocol.lists import ListViewSet
from fleet.api.protocol.problems import Conflict, Unavailable
from fleet.api.runs import SectionSerializer
from fleet.filters import ClusterFilters
from fleet.models import Cluster, Role
from fleet.selectors import clusters as select
from fleet.services import schedule


class OtherContextSerializer(serializers.Serializer[select.OtherContext]):
    """A context of the same cluster, the evidence for that, and whether its credentials are in use."""

    name = serializers.CharField()
    server = serializers.CharField()
    reason = serializers.CharField()
    is_used = serializers.BooleanField()


class ClusterSerializer(serializers.ModelSerializer):
    """A cluster, the age of its data, and the sections that could not be read."""

    server = TextOrNull()
    platform = TextOrNull()
    server_version = TextOrNull()
    outcome = TextOrNull()
    freshness = serializers.SerializerMethodField()
    sections = SectionSerializer(many=True)
    permissions = serializers.JSONField()
    other_contexts = serializers.SerializerMethodField()

    class Meta:
        model = Cluster
        fields = [
            "name", "server", "platform", "server_version", "node_count", "freshness", "read_at", "taken_at", "outcome",
            "error", "failing_since", "next_due_at", "queued_at", "sections", "section_read_at", "permissions",
            "other_contexts",
        ]  # fmt: skip

    def get_freshness(self, cluster: Cluster) -> str:
        return select.freshness(cluster, timezone.now()).level

    @extend_schema_field(OtherContextSerializer(many=True))
    def get_other_contexts(self, cluster: Cluster) -> list[dict[str, object]]:
        return [asdict(context) for context in select.other_contexts(cluster)]


class Clusters(ListViewSet):
    """The clusters that the configuration names."""

    queryset = Cluster.objects.none()
    serializer_class = ClusterSerializer
    filterset_class = ClusterFilters
    orderings = {"name": "name", "platform": "platform", "outcome": "outcome"}
    default_ordering = "name"
    facet_names = ("platform", "outcome")
    csv_columns = (
        "name",
        "server",
        "platform",
        "server_version",
        "node_count",
        "freshness",
        "read_at",
        "outcome",
        "error",
    )
    lookup_field = "name"
    lookup_value_converter = "cluster"
    roles = {"collect": Role.OPERATOR}

    def get_queryset(self) -> QuerySet[Cluster]:
        return select.with_contexts(select.clusters())

    def _cluster(self, name: str) -> Cluster:
        cluster = select.get_cluster(name)
        if cluster is None:
            if keeper := select.keeper_of(name):
                raise Http404(f"Context {name} leads to the same cluster as {keeper}, under whose name it is collected.")
            raise Http404(f"Cluster {name} not found.")
        return cluster

    @extend_schema(operation_id="cluster", responses=ClusterSerializer)
    def retrieve(self, request: Request, name: str) -> Response:
        """Returns one cluster."""
        return Response(self.get_serializer(self._cluster(name)).data)

    @extend_schema(
        operation_id="cluster_collect",
        request=None,
        responses={
            202: inline_serializer("Queued", {"cluster": serializers.CharField(), "queued_at": serializers.DateTimeField()})
        },
    )
    @action(detail=True, methods=["post"])
    def collect(self, request: Request, name: str) -> Response:
        """Queues a collection run. 409 if a run is already queued."""
        self._cluster(name)
        now = timezone.now()
        cluster_id = schedule.take_now(name, now, caller(request))
        if cluster_id is None:
            raise Conflict(f"A collection run of {name} is already queued.")
        enqueue_or_503(cluster_id, "api")
        return Response({"cluster": name, "queued_at": now}, status=status.HTTP_202_ACCEPTED)


def enqueue_or_503(cluster_id: int, trigger: str) -> None:
    """Queues the run; removes it from the queue if the broker does not respond."""
    try:
        tasks.enqueue(cluster_id, trigger)
    except (OperationalError, OSError) as error:
        schedule.cancel_turn(cluster_id)
        raise Unavailable(
            "The broker does not respond: the collection run was not queued. The next scheduled run starts by itself."
        ) from error
