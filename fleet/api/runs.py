"""Collection runs."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import serializers

from fleet.api.protocol.fields import TextOrNull
from fleet.api.protocol.lists import ListViewSet
from fleet.filters import RunFilters
from fleet.models import CollectionRun
from fleet.selectors import clusters as select


class SectionSerializer(serializers.Serializer):
    """Result of collecting one section."""

    name = serializers.CharField()
    outcome = serializers.CharField()
    count = serializers.IntegerField(allow_null=True)
    took_ms = serializers.IntegerField()
    reason = serializers.CharField()
    hides = serializers.CharField()


class RunSerializer(serializers.ModelSerializer):
    """A collection run of a cluster."""

    cluster = serializers.CharField(source="cluster.name")
    outcome = TextOrNull()
    sections = SectionSerializer(many=True)

    class Meta:
        model = CollectionRun
        fields = [
            "id", "cluster", "trigger", "started_at", "finished_at", "outcome", "error", "nodes", "pods", "changes",
            "sections",
        ]  # fmt: skip


class Runs(ListViewSet):
    """Collection runs of every cluster, newest first."""

    queryset = CollectionRun.objects.none()
    serializer_class = RunSerializer
    filterset_class = RunFilters
    orderings = {"started": "started_at", "cluster": "cluster__name"}
    default_ordering = "-started"
    facet_names = ("cluster", "outcome", "trigger")
    csv_columns = (
        "id",
        "cluster",
        "trigger",
        "started_at",
        "finished_at",
        "outcome",
        "error",
        "nodes",
        "pods",
        "changes",
    )

    def get_queryset(self) -> QuerySet[CollectionRun]:
        return select.runs()
