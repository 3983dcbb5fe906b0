"""Physical GPUs."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import serializers

from fleet.api.fields import Told
from fleet.api.lists import ListViewSet
from fleet.api.telemetry import TelemetryField
from fleet.filters import GpuFilters
from fleet.models import Gpu
from fleet.selectors import nodes as select
from fleet.selectors.telemetry import with_telemetry


class GpuSerializer(serializers.ModelSerializer):
    """One physical card. Without DRA or telemetry nobody tells which card it is: then `uuid` is null."""

    cluster = serializers.CharField(source="node.cluster.name")
    node = serializers.CharField(source="node.name")
    uuid = Told()
    product = Told()
    pci_bus_id = Told()
    mode = Told(source="node.mode")
    driver_version = Told(source="node.driver_version")
    source = Told()  # type: ignore[assignment]  # a field's name, not its option
    telemetry = TelemetryField()

    class Meta:
        model = Gpu
        fields = [
            "cluster", "node", "position", "uuid", "product", "memory_mib", "pci_bus_id", "mig_enabled", "mode",
            "driver_version", "source", "telemetry",
        ]  # fmt: skip


class Gpus(ListViewSet):
    """Physical GPUs of the nodes that are there: one row a card, never a slot."""

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
