"""GPU nodes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from django.db.models import QuerySet
from django.http import Http404, QueryDict
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.findings import FindingSerializer
from fleet.api.protocol.fields import TextOrNull
from fleet.api.protocol.lists import ListViewSet
from fleet.api.rungs import RungRow, RungSerializer, rung_rows
from fleet.domain.devices.slots import ResourceSlots, free_slots
from fleet.domain.evaluation import registry
from fleet.domain.readiness.types import Verdict
from fleet.filters import NodeFilters
from fleet.models import Node
from fleet.selectors.clusters import stale_cluster_ids
from fleet.selectors.facets import Facet
from fleet.selectors.nodes import nodes as select
from fleet.selectors.nodes import views as node_views
from fleet.selectors.nodes.facets import node_facets
from fleet.selectors.nodes.views import DeviceFinding, NodeView

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""Nodes without a verdict come first when ordered by its age."""


FREE_HELP = "allocatable − requested, at least 0. Pools and the fleet count those of ready and degraded nodes only."


class ResourceSerializer(serializers.Serializer):
    """One resource, in slots."""

    name = serializers.CharField()
    kind = serializers.CharField()
    profile = serializers.CharField(allow_blank=True)
    replicas = serializers.IntegerField(allow_null=True)
    capacity = serializers.IntegerField(allow_null=True)
    allocatable = serializers.IntegerField(allow_null=True)
    requested = serializers.IntegerField(allow_null=True)
    free = serializers.SerializerMethodField(help_text="allocatable − requested, at least 0.")
    predicted = serializers.IntegerField(allow_null=True)

    def get_free(self, resource: ResourceSlots) -> int | None:
        return free_slots(resource.free)


class DraCutSerializer(serializers.Serializer):
    """Number of further devices of a profile that can be created, if no other profile is."""

    profile = serializers.CharField()
    more = serializers.IntegerField()


class DraPoolSerializer(serializers.Serializer):
    """A pool of a DRA driver on this node (KEP-5677). null is unknown: claims or DeviceTaintRules were not read."""

    driver = serializers.CharField()
    pool = serializers.CharField()
    total = serializers.IntegerField()
    allocated = serializers.IntegerField(allow_null=True)
    available = serializers.IntegerField(allow_null=True)
    unavailable = serializers.IntegerField(allow_null=True)
    shares = serializers.IntegerField(allow_null=True, help_text="Shares of the default size; null where nothing is shared.")
    shares_held = serializers.IntegerField(allow_null=True)
    shares_free = serializers.IntegerField(allow_null=True)
    unbounded = serializers.BooleanField(help_text="Some device can be shared any number of times.")
    memory_mib = serializers.IntegerField(allow_null=True, help_text="Memory of the shareable devices.")
    memory_free_mib = serializers.IntegerField(allow_null=True)
    cuts = DraCutSerializer(many=True)
    can_be_cut = serializers.CharField(allow_blank=True)
    invalid = serializers.CharField(allow_blank=True, help_text="Why the scheduler allocates nothing from the pool.")


class NodeGpus(serializers.Serializer):
    """Physical GPUs, never slots. `missing` is expected − usable, `missing_reason` why."""

    physical = serializers.IntegerField(allow_null=True)
    source = TextOrNull(source="physical_source")  # type: ignore[assignment]  # a field's name, not its option
    expected = serializers.IntegerField(allow_null=True)
    expected_source = TextOrNull(help_text="declared, ordered or learned")
    advertised = serializers.IntegerField(allow_null=True)
    usable = serializers.IntegerField(allow_null=True)
    missing = serializers.IntegerField(allow_null=True)
    missing_reason = TextOrNull()
    mig_instances = serializers.DictField(child=serializers.IntegerField(), allow_null=True)


class NodeSlots(serializers.Serializer):
    """Slots over all GPU resources of the node."""

    capacity = serializers.IntegerField(allow_null=True)
    allocatable = serializers.IntegerField(allow_null=True)
    requested = serializers.IntegerField(allow_null=True)
    free = serializers.IntegerField(allow_null=True, help_text=FREE_HELP)


class EvidenceSerializer(serializers.Serializer):
    source = serializers.CharField()  # type: ignore[assignment]  # a field's name, not its option
    key = serializers.CharField()
    value = serializers.CharField()


class DeviceFindingSerializer(serializers.Serializer):
    """A finding of the inspection of the node's devices in this run, with its evidence."""

    rule = serializers.CharField(help_text=f"One of: {registry.describe('devices')}.")
    title = serializers.SerializerMethodField()
    severity = serializers.ChoiceField(["info", "warning", "critical", "fatal"])
    text = serializers.CharField()
    evidence = EvidenceSerializer(many=True)

    def get_title(self, finding: DeviceFinding) -> str:
        return registry.title(finding.rule)


class TaintSerializer(serializers.Serializer):
    key = serializers.CharField()
    value = serializers.CharField()
    effect = serializers.CharField()


class NodeSerializer(serializers.Serializer):
    """A node: what it reports to Kubernetes, and what Muster derives from that. null is unknown, never 0."""

    cluster = serializers.CharField(source="cluster.name")
    name = serializers.CharField()
    uid = serializers.CharField()
    vendor = TextOrNull(source="figures.vendor")
    product = TextOrNull(source="figures.product")
    family = TextOrNull(source="figures.family")
    gpu_memory_mib = serializers.IntegerField(source="figures.gpu_memory_mib", allow_null=True)
    driver_version = TextOrNull(source="figures.driver_version")
    cuda_version = TextOrNull(source="figures.cuda_version")
    kubelet_version = TextOrNull()
    machine_type = TextOrNull(source="figures.machine_type")
    zone = TextOrNull(source="figures.zone")
    partitioning = TextOrNull(source="figures.partitioning")
    sharing = TextOrNull(source="figures.sharing")
    replicas = serializers.IntegerField(source="figures.replicas", allow_null=True)
    mode = TextOrNull(source="figures.mode")
    isolation = TextOrNull(source="figures.isolation")
    gpus = NodeGpus(source="figures")
    slots = NodeSlots(source="figures.slots")
    resources = ResourceSerializer(many=True, source="figures.resources")
    dra_pools = DraPoolSerializer(
        many=True, allow_null=True, read_only=True, help_text="Null for a past moment at which they were not kept."
    )
    state = serializers.CharField(source="figures.state")
    state_since = serializers.DateTimeField(allow_null=True)
    reason = TextOrNull()
    verdict = serializers.ChoiceField([verdict.value for verdict in Verdict], source="figures.verdict")
    broken_rung = TextOrNull(source="figures.broken_rung")
    verdict_since = serializers.DateTimeField(allow_null=True)
    verdict_reason = TextOrNull()
    verdict_remedy = TextOrNull()
    reached = serializers.IntegerField(source="figures.reached")
    flapping = serializers.BooleanField(source="figures.flapping")
    rungs = serializers.SerializerMethodField()
    findings = FindingSerializer(many=True, read_only=True, help_text="Open findings, worst first; silenced ones are marked.")
    pools = serializers.ListField(child=serializers.CharField(), read_only=True, help_text="Slugs of the pools it is in.")
    device_findings = DeviceFindingSerializer(many=True, allow_null=True)
    evidence = EvidenceSerializer(many=True, allow_null=True)
    kubelet_ready = serializers.BooleanField(source="figures.kubelet_ready", allow_null=True)
    schedulable = serializers.BooleanField(source="figures.schedulable")
    taints = TaintSerializer(many=True)
    labels = serializers.DictField(child=serializers.CharField())
    stack = serializers.DictField(child=serializers.CharField())
    first_seen_at = serializers.DateTimeField()
    last_seen_at = serializers.SerializerMethodField()
    changed_at = serializers.DateTimeField()
    removed_at = serializers.DateTimeField(allow_null=True)
    stale = serializers.SerializerMethodField()

    @extend_schema_field(RungSerializer(many=True))
    def get_rungs(self, node: NodeView) -> list[RungRow]:
        return rung_rows(node)

    @extend_schema_field({"type": ["string", "null"], "format": "date-time"})
    def get_last_seen_at(self, node: NodeView) -> datetime | None:
        seen = node.removed_at or node.cluster.read_at
        return min(seen, node.at) if seen and node.at else seen

    @extend_schema_field({"type": "boolean"})
    def get_stale(self, node: NodeView) -> bool:
        """Returns False for a time before the cluster was last read."""
        if node.at is not None and node.cluster.read_at is not None and node.at < node.cluster.read_at:
            return False
        return node.cluster.pk in self.context["stale_clusters"]


def node_or_404(cluster: str, name: str) -> Node:
    """Returns the current node of this name, else the last one that had it. Raises Http404."""
    node = select.get_node(cluster, name)
    if node is None:
        raise Http404(f"GPU node {name} not found in cluster {cluster}.")
    return node


class Nodes(ListViewSet[Node]):
    """GPU nodes of every cluster. Removed nodes are listed with `removed=true`."""

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
                   "state", "zone", "machine_type", "driver", "pool", "team")  # fmt: skip
    csv_columns = (
        "cluster", "name", "uid", "vendor", "product", "family", "gpu_memory_mib", "driver_version", "cuda_version",
        "machine_type", "zone", "partitioning", "sharing", "replicas", "mode", "gpus.physical", "gpus.expected",
        "gpus.expected_source", "gpus.advertised", "gpus.usable", "gpus.missing",
        "gpus.mig_instances", "slots.capacity", "slots.allocatable", "slots.requested", "slots.free",
        "verdict", "broken_rung", "verdict_since", "verdict_reason", "reached", "flapping", "state", "state_since",
        "reason", "kubelet_ready", "schedulable", "first_seen_at", "last_seen_at",
        "removed_at", "stale", "pools",
    )  # fmt: skip

    def get_queryset(self) -> QuerySet[Node]:
        return select.with_resources(select.nodes())

    def count_facets(self, params: QueryDict) -> Sequence[Facet]:
        return node_facets(self.facet_names, params, self.get_queryset())

    def get_serializer_context(self) -> dict[str, object]:
        return {**super().get_serializer_context(), "stale_clusters": stale_cluster_ids(timezone.now())}

    def shown(self, rows: Sequence[Node]) -> Sequence[NodeView]:
        return node_views.whole_views(rows)

    @extend_schema(operation_id="node", responses=NodeSerializer)
    def node(self, request: Request, cluster: str, name: str) -> Response:
        """Returns the current node of this name, else the last one that had it."""
        (node,) = self.shown([node_or_404(cluster, name)])
        return Response(self.get_serializer(node).data)
