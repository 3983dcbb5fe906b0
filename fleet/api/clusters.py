"""Clusters: how their reading goes, and a reading on demand."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema, inline_serializer
from kombu.exceptions import OperationalError
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from fleet import tasks
from fleet.api.fields import Told
from fleet.api.lists import ListViewSet
from fleet.api.problems import Conflict, Unavailable
from fleet.api.runs import SectionSerializer
from fleet.filters import ClusterFilters
from fleet.models import Cluster, Role
from fleet.selectors import clusters as select
from fleet.services import schedule


class ClusterSerializer(serializers.ModelSerializer):
    """A cluster, how fresh its truth is, and what could not be read."""

    server = Told()
    platform = Told()
    server_version = Told()
    outcome = Told()
    freshness = serializers.SerializerMethodField()
    sections = SectionSerializer(many=True)
    permissions = serializers.JSONField()

    class Meta:
        model = Cluster
        fields = [
            "name", "server", "platform", "server_version", "node_count", "freshness", "read_at", "taken_at", "outcome",
            "error", "failing_since", "next_due_at", "queued_at", "sections", "section_read_at", "permissions",
        ]  # fmt: skip

    def get_freshness(self, cluster: Cluster) -> str:
        return select.freshness(cluster, timezone.now()).level


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
        return select.clusters()

    def _cluster(self, name: str) -> Cluster:
        cluster = select.get_cluster(name)
        if cluster is None:
            raise Http404(f"There is no cluster {name}.")
        return cluster

    @extend_schema(operation_id="cluster", responses=ClusterSerializer)
    def retrieve(self, request: Request, name: str) -> Response:
        """One cluster."""
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
        """Asks for a reading now. 409 where one already waits in the queue."""
        self._cluster(name)
        now = timezone.now()
        cluster_id = schedule.take_now(name, now)
        if cluster_id is None:
            raise Conflict(f"A reading of {name} already waits in the queue.")
        enqueue_or_503(cluster_id, "api")
        return Response({"cluster": name, "queued_at": now}, status=status.HTTP_202_ACCEPTED)


def enqueue_or_503(cluster_id: int, trigger: str) -> None:
    """Puts the pass into the queue; a broker that does not answer frees the place again and says so."""
    try:
        tasks.enqueue(cluster_id, trigger)
    except (OperationalError, OSError) as error:
        schedule.start_turn(cluster_id)
        raise Unavailable("The broker does not answer, so nothing can be queued. The next reading comes by itself.") from error
