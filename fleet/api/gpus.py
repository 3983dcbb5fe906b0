"""Physical GPUs."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import serializers

from fleet.api.protocol.fields import TelemetryField, TextOrNull
from fleet.api.protocol.lists import ListViewSet
from fleet.filters import GpuFilters
from fleet.models import Gpu
from fleet.selectors.nodes import nodes as select
from fleet.selectors.nodes.telemetry import with_telemetry


class GpuSerializer(serializers.ModelSerializer):
    """A physical GPU. `uuid` is null if neither DRA nor telemetry identifies it."""

    cluster = serializers.CharField(source="node.cluster.name")
    node = serializers.CharField(source="node.name")
    uuid = TextOrNull()
    product = TextOrNull()
    pci_bus_id = TextOrNull()
    mode = TextOrNull(source="node.mode")
    driver_version = TextOrNull(source="node.driver_version")
    source = TextOrNull()  # type: ignore[assignment]  # a field's name, not its option
    telemetry = TelemetryField()

    class Meta:
        model = Gpu
        fields = [
            "cluster", "node", "position", "uuid", "product", "memory_mib", "pci_bus_id", "mig_enabled", "mode",
            "driver_version", "source", "telemetry",
        ]  # fmt: skip


class Gpus(ListViewSet):
    """Physical GPUs of present nodes: one row per GPU, not per slot."""

    queryset = Gpu.objects.none()
    serializer_class = GpuSerializer
    filterset_class = GpuFilters
    orderings = {
        "node": "node__name",
        "cluster": "node__cluster__name",
        "product": "product",
        "memory": ("memory_mib", -1),
    }
    default_ordering = "node"
    facet_names = ("cluster", "product", "zone", "mode", "state")
    csv_columns = tuple(name for name in GpuSerializer.Meta.fields if name != "telemetry")

    def get_queryset(self) -> QuerySet[Gpu]:
        return with_telemetry(select.gpus())
