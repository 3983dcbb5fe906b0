"""Topology: where nodes are, and which groups of them hold N free GPUs in the right shape."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.api.protocol import windows
from fleet.api.protocol.fields import Body
from fleet.domain.topology.node_groups import MOST_GPUS, SHAPES
from fleet.models import Role
from fleet.selectors.clusters import get_cluster
from fleet.selectors.placement import topology as select


class GroupsQuestion(Body):
    """A number of whole GPUs of one product, close together."""

    gpus = serializers.IntegerField(min_value=1, max_value=MOST_GPUS)
    shape = serializers.ChoiceField(SHAPES, default="any", help_text="any tries every level, the closest first.")
    product = serializers.CharField(required=False, allow_blank=True, max_length=300)
    cluster = serializers.CharField(required=False, allow_blank=True, max_length=253)


class _GroupNode(serializers.Serializer):
    cluster = serializers.CharField()
    name = serializers.CharField()
    free_gpus = serializers.IntegerField()


class _Loss(serializers.Serializer):
    id = serializers.CharField(help_text="A level that it spans or that no label states, whole_node or leftover.")
    text = serializers.CharField()


class TopologyGroup(serializers.Serializer):
    """Nodes that each give the same number of GPUs."""

    cluster = serializers.CharField()
    shape = serializers.CharField(
        help_text="The closest shape that all of it is in: node, nvlink_domain, rack, block, zone or any."
    )
    domain = serializers.CharField(allow_null=True)
    product = serializers.CharField(allow_null=True)
    gpus = serializers.IntegerField()
    gpus_per_node = serializers.IntegerField()
    nodes = _GroupNode(many=True)
    loses = _Loss(many=True)
    taints = serializers.ListField(child=serializers.CharField(), help_text="What its pods must tolerate.")
    request = serializers.CharField(
        allow_null=True, help_text="Annotations of Kueue and LeaderWorkerSet that ask for this shape."
    )


class TopologyGroupsAnswer(serializers.Serializer):
    groups = TopologyGroup(many=True, help_text="The best first: closest shape, fewest nodes, fewest whole nodes broken up.")
    looked_at = serializers.IntegerField(help_text="Nodes that are ready, schedulable and recently read.")
    not_ready = serializers.IntegerField()
    unknown = serializers.IntegerField(help_text="Nodes whose free GPUs are unknown.")
    unlabelled = serializers.IntegerField(help_text="Nodes looked at without a label of the requested level.")
    as_of = serializers.DateTimeField(allow_null=True)


class _RackNode(serializers.Serializer):
    name = serializers.CharField()
    verdict = serializers.CharField()
    product = serializers.CharField(allow_null=True)
    nvlink_domain = serializers.CharField(allow_null=True)
    gpus = serializers.IntegerField(allow_null=True, help_text="Whole GPUs it advertises; null where GPUs are shared or cut.")
    free_gpus = serializers.IntegerField(allow_null=True)


class _Rack(serializers.Serializer):
    cluster = serializers.CharField()
    zone = serializers.CharField(allow_null=True)
    block = serializers.CharField(allow_null=True)
    rack = serializers.CharField(allow_null=True)
    free_gpus = serializers.IntegerField()
    nodes = _RackNode(many=True)


class _Level(serializers.Serializer):
    id = serializers.CharField()
    title = serializers.CharField()
    nodes = serializers.IntegerField(help_text="Nodes with a label of this level.")
    domains = serializers.IntegerField()
    keys = serializers.ListField(child=serializers.CharField())


class TopologyPicture(serializers.Serializer):
    racks = _Rack(many=True)
    levels = _Level(many=True)
    nodes = serializers.IntegerField()
    as_of = serializers.DateTimeField(allow_null=True)


class TopologyGroups(APIView):
    """Groups of nodes for a workload that needs its GPUs close together."""

    roles = {None: Role.VIEWER}

    @extend_schema(operation_id="topology_groups", request=GroupsQuestion, responses=TopologyGroupsAnswer)
    def post(self, request: Request) -> Response:
        """Returns the groups of nodes, the best first, with what each loses. Nothing is reserved."""
        asked = GroupsQuestion(data=request.data)
        asked.is_valid(raise_exception=True)
        fields = asked.validated_data
        cluster = _known(fields.get("cluster", ""))
        answer, as_of = select.groups(timezone.now(), fields["gpus"], fields["shape"], fields.get("product", ""), cluster)
        return Response(
            {
                "groups": [select.group_json(group) for group in answer.groups],
                "looked_at": answer.looked_at,
                "not_ready": answer.not_ready,
                "unknown": answer.unknown,
                "unlabelled": answer.unlabelled,
                "as_of": as_of,
            }
        )


class Topology(APIView):
    """Zones, blocks, racks and NVLink domains, as labels of nodes state them."""

    @extend_schema(operation_id="topology", responses=TopologyPicture, parameters=[windows.CLUSTER])
    def get(self, request: Request) -> Response:
        """Returns every rack with its nodes, and how many nodes each level is known of."""
        windows.only(request, ("cluster",))
        answer = select.picture(timezone.now(), _known(request.query_params.get("cluster", "")))
        levels = [
            {"id": row.id, "title": row.title, "nodes": row.nodes, "domains": row.domains, "keys": list(row.keys)}
            for row in answer.levels
        ]
        rows = select.racks_json(answer.racks)
        return Response({"racks": rows, "levels": levels, "nodes": answer.nodes, "as_of": answer.as_of})


def _known(cluster: str) -> str:
    if cluster and get_cluster(cluster) is None:
        raise ValidationError({"cluster": [f"Cluster “{cluster[:200]}” not found."]})
    return cluster
