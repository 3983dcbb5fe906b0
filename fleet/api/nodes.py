"""GPU nodes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet, prefetch_related_objects
from django.http import Http404, QueryDict
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.fields import Told
from fleet.api.findings import FindingSerializer
from fleet.api.lists import ListViewSet
from fleet.api.rungs import RungSerializer, rung_rows
from fleet.domain.readiness.types import Verdict
from fleet.filters import NodeFilters
from fleet.models import Node, NodeResource
from fleet.selectors import findings, pools
from fleet.selectors import nodes as select
from fleet.selectors.clusters import stale_cluster_ids
from fleet.selectors.facets import Facet
from fleet.selectors.node_facets import node_facets

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""Nodes without a verdict stand first when ordered by its age."""


class ResourceSerializer(serializers.ModelSerializer):
    """One resource, in slots."""

    class Meta:
        model = NodeResource
        fields = ["name", "kind", "profile", "capacity", "allocatable", "requested", "free", "predicted"]


class NodeGpus(serializers.Serializer):
    """Physical GPUs: cards, never slots."""

    physical = serializers.IntegerField(allow_null=True)
    expected = serializers.IntegerField(allow_null=True)
    offered = serializers.IntegerField(allow_null=True)
    usable = serializers.IntegerField(allow_null=True)
    source = Told(source="physical_source")  # type: ignore[assignment]  # a field's name, not its option
    mig_instances = serializers.DictField(child=serializers.IntegerField(), allow_null=True)


class NodeSlots(serializers.Serializer):
    """Slots over all GPU resources of the node."""

    capacity = serializers.IntegerField(source="slots_capacity", allow_null=True)
    allocatable = serializers.IntegerField(source="slots_allocatable", allow_null=True)
    requested = serializers.IntegerField(source="slots_requested", allow_null=True)
    free = serializers.IntegerField(source="slots_free", allow_null=True)


class EvidenceSerializer(serializers.Serializer):
    source = serializers.CharField()  # type: ignore[assignment]  # a field's name, not its option
    key = serializers.CharField()
    value = serializers.CharField()


class RemarkSerializer(serializers.Serializer):
    """One plain sentence about the node, with what it rests on."""

    id = serializers.CharField()
    severity = serializers.ChoiceField(["info", "warning", "critical", "fatal"])
    text = serializers.CharField()
    evidence = EvidenceSerializer(many=True)


class TaintSerializer(serializers.Serializer):
    key = serializers.CharField()
    value = serializers.CharField()
    effect = serializers.CharField()


class NodeSerializer(serializers.Serializer):
    """What the node told Kubernetes, and what follows from it. null is unknown, never 0."""

    cluster = serializers.CharField(source="cluster.name")
    name = serializers.CharField()
    uid = serializers.CharField()
    vendor = Told()
    product = Told()
    family = Told()
    gpu_memory_mib = serializers.IntegerField(allow_null=True)
    driver_version = Told()
    cuda_version = Told()
    kubelet_version = Told()
    machine_type = Told()
    zone = Told()
    partitioning = Told()
    sharing = Told()
    replicas = serializers.IntegerField(allow_null=True)
    mode = Told()
    isolation = Told()
    gpus = NodeGpus(source="*")
    slots = NodeSlots(source="*")
    resources = ResourceSerializer(many=True)
    state = serializers.CharField()
    state_since = serializers.DateTimeField()
    reason = Told()
    verdict = serializers.ChoiceField([verdict.value for verdict in Verdict])
    broken_rung = Told()
    verdict_since = serializers.DateTimeField(allow_null=True)
    verdict_reason = Told()
    verdict_remedy = Told()
    reached = serializers.IntegerField()
    flapping = serializers.BooleanField()
    rungs = serializers.SerializerMethodField()
    findings = serializers.SerializerMethodField()
    pools = serializers.SerializerMethodField()
    remarks = RemarkSerializer(many=True, source="info.remarks")
    evidence = EvidenceSerializer(many=True, source="info.evidence")
    kubelet_ready = serializers.BooleanField(allow_null=True)
    schedulable = serializers.BooleanField()
    taints = TaintSerializer(many=True)
    labels = serializers.DictField(child=serializers.CharField())
    stack = serializers.DictField(child=serializers.CharField())
    first_seen_at = serializers.DateTimeField()
    last_seen_at = serializers.SerializerMethodField()
    changed_at = serializers.DateTimeField()
    removed_at = serializers.DateTimeField(allow_null=True)
    stale = serializers.SerializerMethodField()

    @extend_schema_field(RungSerializer(many=True))
    def get_rungs(self, node: Node) -> list[dict[str, Any]]:
        return rung_rows(node.rungs, node.cluster.section_read_at)

    @extend_schema_field(FindingSerializer(many=True))
    def get_findings(self, node: Node) -> list[Any]:
        """What stands open, worst first; muted ones say so."""
        if not hasattr(node, "open_findings"):
            prefetch_related_objects([node], findings.of_nodes())
        return list(FindingSerializer(vars(node)["open_findings"], many=True, context=self.context).data)

    @extend_schema_field({"type": "array", "items": {"type": "string"}})
    def get_pools(self, node: Node) -> list[str]:
        """Slugs of the pools it is in now."""
        if not hasattr(node, "open_memberships"):
            prefetch_related_objects([node], pools.of_nodes())
        return sorted(membership.pool.slug for membership in vars(node)["open_memberships"])

    @extend_schema_field({"type": ["string", "null"], "format": "date-time"})
    def get_last_seen_at(self, node: Node) -> Any:
        return node.removed_at or node.cluster.read_at

    @extend_schema_field({"type": "boolean"})
    def get_stale(self, node: Node) -> bool:
        return node.cluster_id in self.context["stale_clusters"]


def node_or_404(cluster: str, name: str) -> Node:
    """The one that bears this name now, else the last that did."""
    node = select.get_node(cluster, name)
    if node is None:
        raise Http404(f"Cluster {cluster} has no GPU node {name} and never had one.")
    return node


class Nodes(ListViewSet):
    """GPU nodes of every cluster. Nodes that are gone stand under `removed=true`."""

    queryset = Node.objects.none()
    serializer_class = NodeSerializer
    filterset_class = NodeFilters
    default_ordering = "name"
    orderings = {
        "name": "name",
        "cluster": "cluster__name",
        "product": "product",
        "mode": "mode",
        "state": "state",
        "verdict": "verdict",
        "broken_rung": "broken_rung",
        "reached": "reached",
        "verdict_since": ("verdict_since", _LONG_AGO),
        "zone": "zone",
        "machine_type": "machine_type",
        "driver": "driver_version",
        "physical": ("physical", -1),
        "expected": ("expected", -1),
        "usable": ("usable", -1),
        "capacity": ("slots_capacity", -1),
        "allocatable": ("slots_allocatable", -1),
        "requested": ("slots_requested", -1),
        "free": ("slots_free", -1_000_000),
        "first_seen": "first_seen_at",
        "changed": "changed_at",
        "state_since": "state_since",
    }
    facet_names = ("cluster", "verdict", "broken_rung", "product", "vendor", "family", "mode", "sharing", "partitioning",
                   "state", "zone", "machine_type", "driver", "pool")  # fmt: skip
    csv_columns = (
        "cluster", "name", "uid", "vendor", "product", "family", "gpu_memory_mib", "driver_version", "cuda_version",
        "machine_type", "zone", "partitioning", "sharing", "replicas", "mode", "gpus.physical", "gpus.expected",
        "gpus.offered", "gpus.usable",
        "gpus.mig_instances", "slots.capacity", "slots.allocatable", "slots.requested", "slots.free",
        "verdict", "broken_rung", "verdict_since", "verdict_reason", "reached", "flapping", "state", "state_since",
        "reason", "kubelet_ready", "schedulable", "first_seen_at", "last_seen_at",
        "removed_at", "stale", "pools",
    )  # fmt: skip

    def get_queryset(self) -> QuerySet[Node]:
        return select.with_resources(select.nodes()).prefetch_related(findings.of_nodes(), pools.of_nodes())

    def count_facets(self, params: QueryDict) -> Sequence[Facet]:
        return node_facets(self.facet_names, params, self.get_queryset())

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "stale_clusters": stale_cluster_ids(timezone.now())}

    @extend_schema(operation_id="node", responses=NodeSerializer)
    def one(self, request: Request, cluster: str, name: str) -> Response:
        """One node: the one that bears this name now, else the last that did."""
        return Response(self.get_serializer(node_or_404(cluster, name)).data)
