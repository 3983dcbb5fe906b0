"""Lists of one node: its revisions and its pods."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import QuerySet
from django.http import QueryDict
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request

from fleet.api.nodes import node_or_404
from fleet.api.protocol.lists import ListViewSet
from fleet.filters import PodFilters, RevisionFilters
from fleet.models import NodeRevision, Pod
from fleet.selectors.facets import Facet
from fleet.selectors.nodes import nodes as select


class RevisionSerializer(serializers.ModelSerializer):
    """A period in which the node's data did not change."""

    since = serializers.DateTimeField(source="period.lower")
    until = serializers.DateTimeField(source="period.upper", allow_null=True)
    uid = serializers.CharField(read_only=True, help_text="Of the node object: it differs where the node was created again.")

    class Meta:
        model = NodeRevision
        fields = ["since", "until", "uid", "changes", "facts"]


class PodSerializer(serializers.ModelSerializer):
    """A pod that requests or holds slots, belongs to the GPU stack, or runs on a GPU node."""

    component = serializers.SerializerMethodField()
    owner = serializers.SerializerMethodField()

    class Meta:
        model = Pod
        fields = [
            "namespace", "name", "uid", "phase", "ready", "reason", "component", "owner", "requests", "slots", "holds",
            "created_at",
        ]  # fmt: skip

    def get_component(self, pod: Pod) -> str | None:
        return pod.component or None

    def get_owner(self, pod: Pod) -> str | None:
        kind, name = pod.snapshot.get("owner_kind"), pod.snapshot.get("owner_name")
        return f"{kind}/{name}" if kind and name else None


class _OfNode(ListViewSet):
    def initial(self, request: Request, *args: object, **kwargs: str) -> None:
        super().initial(request, *args, **kwargs)
        # once, though the facets ask for the rows several times
        self.node = node_or_404(kwargs["cluster"], kwargs["name"])


@extend_schema_view(list=extend_schema(operation_id="node_revisions"), facets=extend_schema(operation_id="node_revisions_facets"))
class NodeRevisions(_OfNode):
    """Returns the node's data over time, newest first."""

    queryset = NodeRevision.objects.none()
    serializer_class = RevisionSerializer
    filterset_class = RevisionFilters
    default_ordering = "-id"
    facet_names = ("section",)
    csv_columns = tuple(RevisionSerializer.Meta.fields)

    def get_queryset(self) -> QuerySet[NodeRevision]:
        return select.revisions_of(self.node)

    def count_facets(self, params: QueryDict) -> Sequence[Facet]:
        return [select.changed_sections(self.get_queryset(), params.getlist("section"))]


@extend_schema_view(list=extend_schema(operation_id="node_pods"), facets=extend_schema(operation_id="node_pods_facets"))
class NodePods(_OfNode):
    """Pods on the node now: those that hold slots first, the GPU stack last."""

    queryset = Pod.objects.none()
    serializer_class = PodSerializer
    filterset_class = PodFilters
    orderings = {"place": "place", "name": "name"}
    default_ordering = "place"
    facet_names = ("namespace", "phase", "component", "holds")
    csv_columns = tuple(PodSerializer.Meta.fields)

    def get_queryset(self) -> QuerySet[Pod]:
        return select.pods_in_order(self.node)
