"""Bursts of Xid errors."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import serializers

from fleet.api.protocol.lists import ListViewSet
from fleet.domain.catalog import xids
from fleet.filters import XidBurstFilters
from fleet.models import XidBurstRow
from fleet.selectors.xids import xids as select


class XidBurstSerializer(serializers.ModelSerializer):
    """Events of one code on one GPU with less than three minutes of quiet between them.

    `count` is a lower bound: the gauge exports only the last code. `uuid` is null where no source names the GPU, `job` where
    it is unknown; `incident` is the same for all bursts of one crash. `source` is the best of those that reported it: counter or
    gauge of the exporter, event or condition of an outside monitor.
    """

    cluster = serializers.CharField(source="node.cluster.name")
    node = serializers.CharField(source="node.name")
    uuid = serializers.SerializerMethodField()
    name = serializers.SerializerMethodField()
    severity = serializers.CharField(help_text="Severity in effect: an operator's decision, else the catalogue's.")
    job = serializers.SerializerMethodField()
    pods = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = XidBurstRow
        fields = [
            "id", "cluster", "node", "uuid", "code", "name", "severity", "started_at", "last_at", "count", "source", "pods",
            "job", "incident",
        ]  # fmt: skip

    def get_uuid(self, burst: XidBurstRow) -> str | None:
        return burst.uuid or None

    def get_name(self, burst: XidBurstRow) -> str:
        return xids.meaning(burst.code).name

    def get_job(self, burst: XidBurstRow) -> str | None:
        return burst.job or None


class XidBursts(ListViewSet):
    """Every burst of the configured clusters, newest first, removed nodes included."""

    queryset = XidBurstRow.objects.none()
    serializer_class = XidBurstSerializer
    filterset_class = XidBurstFilters
    orderings = {"started": "started_at", "last": "last_at", "code": "code", "count": "count", "node": "node__name"}
    default_ordering = "-started"
    facet_names = ("cluster", "node", "code", "severity", "source")
    csv_columns = tuple(XidBurstSerializer.Meta.fields)

    def get_queryset(self) -> QuerySet[XidBurstRow]:
        return select.bursts()
