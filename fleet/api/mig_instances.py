"""MIG instances."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import serializers

from fleet.api.protocol.fields import TelemetryField, TextOrNull
from fleet.api.protocol.lists import ListViewSet
from fleet.filters import MigInstanceFilters
from fleet.models import MigInstance
from fleet.selectors.nodes import nodes as select
from fleet.selectors.nodes.telemetry import with_instance_telemetry


class MigInstanceSerializer(serializers.ModelSerializer):
    """One MIG instance; `uuid` and `gpu_uuid` are null if unknown."""

    cluster = serializers.CharField(source="node.cluster.name")
    node = serializers.CharField(source="node.name")
    product = TextOrNull(source="node.product")
    uuid = TextOrNull()
    gpu_uuid = TextOrNull()
    telemetry = TelemetryField()

    class Meta:
        model = MigInstance
        fields = ["cluster", "node", "product", "position", "profile", "uuid", "gpu_uuid", "memory_mib", "telemetry"]


class MigInstances(ListViewSet):
    """MIG instances of current nodes."""

    queryset = MigInstance.objects.none()
    serializer_class = MigInstanceSerializer
    filterset_class = MigInstanceFilters
    orderings = {"node": "node__name", "cluster": "node__cluster__name", "profile": "profile"}
    default_ordering = "node"
    facet_names = ("cluster", "product", "profile", "zone")
    csv_columns = tuple(name for name in MigInstanceSerializer.Meta.fields if name != "telemetry")

    def get_queryset(self) -> QuerySet[MigInstance]:
        return with_instance_telemetry(select.mig_instances())
