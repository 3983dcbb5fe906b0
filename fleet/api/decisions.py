"""Operators' decisions: waivers, maintenance, declared counts."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.protocol import windows
from fleet.api.protocol.authentication import caller
from fleet.api.protocol.fields import Body
from fleet.api.protocol.lists import whole_list
from fleet.domain.refusals import FieldError
from fleet.models import Cluster, ExpectedGpus, Maintenance, Node, Role, WaiverRow
from fleet.selectors import clusters, decisions
from fleet.selectors.nodes import nodes
from fleet.services import expected, maintenance, waivers
from fleet.services.decisions import LONGEST_REASON


class WaiverSerializer(Body):
    """A rung that is not required in the cluster."""

    rung = serializers.CharField(max_length=40)
    reason = serializers.CharField(max_length=LONGEST_REASON)
    by = serializers.SerializerMethodField()
    at = serializers.DateTimeField(read_only=True)

    def get_by(self, row: WaiverRow | Maintenance | ExpectedGpus) -> str | None:
        return row.by.get_username() if row.by else None


class MaintenanceSerializer(Body):
    """A node in maintenance. Without `until` until an operator ends it."""

    reason = serializers.CharField(max_length=LONGEST_REASON)
    until = serializers.DateTimeField(allow_null=True, required=False, default=None)
    by = serializers.SerializerMethodField()
    at = serializers.DateTimeField(read_only=True)

    def get_by(self, row: WaiverRow | Maintenance | ExpectedGpus) -> str | None:
        return row.by.get_username() if row.by else None


class ExpectedSerializer(Body):
    """The declared number of physical GPUs of a node."""

    count = serializers.IntegerField(min_value=0, max_value=expected.MOST)
    reason = serializers.CharField(max_length=LONGEST_REASON)
    by = serializers.SerializerMethodField()
    at = serializers.DateTimeField(read_only=True)

    def get_by(self, row: WaiverRow | Maintenance | ExpectedGpus) -> str | None:
        return row.by.get_username() if row.by else None


def _validated(serializer: serializers.Serializer) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def _refuse(error: FieldError) -> ValidationError:
    return ValidationError({error.field: [str(error)]})


class Waivers(viewsets.GenericViewSet):
    """Waivers of a cluster. A waiver replaces missing evidence; a rung that fails still fails."""

    queryset = Cluster.objects.none()
    serializer_class = WaiverSerializer
    pagination_class = None
    filter_backends = ()
    roles = {"grant": Role.OPERATOR, "withdraw": Role.OPERATOR}

    def _cluster(self, name: str) -> Cluster:
        cluster = clusters.get_cluster(name)
        if cluster is None:
            raise Http404(f"Cluster {name} not found.")
        return cluster

    @extend_schema(operation_id="cluster_waivers", responses=whole_list("Waivers", WaiverSerializer(many=True)))
    def index(self, request: Request, cluster: str) -> Response:
        """Every waiver of the cluster."""
        windows.only(request, ())
        rows = decisions.waivers(self._cluster(cluster))
        return Response({"results": WaiverSerializer(rows, many=True).data, "next": None, "previous": None})

    @extend_schema(operation_id="cluster_waiver_grant", request=WaiverSerializer, responses={201: WaiverSerializer})
    def grant(self, request: Request, cluster: str) -> Response:
        """Waives a rung, with a reason. Takes effect with the next collection run."""
        where = self._cluster(cluster)
        result = _validated(WaiverSerializer(data=request.data))
        try:
            row = waivers.grant(caller(request), where, result["rung"], reason=result["reason"], now=timezone.now())
        except FieldError as error:
            raise _refuse(error) from error
        return Response(WaiverSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="cluster_waiver_withdraw", responses={204: None})
    def withdraw(self, request: Request, cluster: str, rung: str) -> Response:
        """Withdraws a waiver."""
        if not waivers.withdraw(caller(request), self._cluster(cluster), rung, now=timezone.now()):
            raise Http404(f"{rung} is not waived in {cluster}.")
        return Response(status=status.HTTP_204_NO_CONTENT)


class _OfNode(viewsets.GenericViewSet):
    queryset = Node.objects.none()
    pagination_class = None
    filter_backends = ()

    def _node(self, cluster: str, name: str) -> Node:
        node = nodes.get_node(cluster, name)
        if node is None or node.removed_at is not None:
            raise Http404(f"Cluster {cluster} has no GPU node {name}.")
        return node


class NodeMaintenance(_OfNode):
    """Maintenance of a node, in Muster only. The cluster is not changed."""

    serializer_class = MaintenanceSerializer
    roles = {"begin": Role.OPERATOR, "end": Role.OPERATOR}

    @extend_schema(operation_id="node_maintenance", responses=MaintenanceSerializer)
    def show(self, request: Request, cluster: str, name: str) -> Response:
        """The maintenance of the node; 404 where it is in none."""
        windows.only(request, ())
        row = decisions.maintenance_of(self._node(cluster, name), timezone.now())
        if row is None:
            raise Http404(f"{name} is not in maintenance.")
        return Response(MaintenanceSerializer(row).data)

    @extend_schema(operation_id="node_maintenance_begin", request=MaintenanceSerializer, responses={201: MaintenanceSerializer})
    def begin(self, request: Request, cluster: str, name: str) -> Response:
        """Starts maintenance of the node, with a reason and an optional end. Takes effect with the next collection run."""
        node = self._node(cluster, name)
        result = _validated(MaintenanceSerializer(data=request.data))
        try:
            row = maintenance.begin(caller(request), node, reason=result["reason"], until=result["until"], now=timezone.now())
        except FieldError as error:
            raise _refuse(error) from error
        return Response(MaintenanceSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="node_maintenance_end", responses={204: None})
    def end(self, request: Request, cluster: str, name: str) -> Response:
        """Ends maintenance of the node."""
        if not maintenance.end(caller(request), self._node(cluster, name), now=timezone.now()):
            raise Http404(f"{name} is not in maintenance.")
        return Response(status=status.HTTP_204_NO_CONTENT)


class NodeExpected(_OfNode):
    """The declared number of physical GPUs of a node."""

    serializer_class = ExpectedSerializer
    roles = {"declare": Role.OPERATOR, "withdraw": Role.OPERATOR}

    @extend_schema(operation_id="node_expected_gpus", responses=ExpectedSerializer)
    def show(self, request: Request, cluster: str, name: str) -> Response:
        """Returns the declared number of this node; 404 if its number is learned."""
        windows.only(request, ())
        row = decisions.expected_of(self._node(cluster, name))
        if row is None:
            raise Http404(f"No GPU count is declared for node {name}: the number is learned.")
        return Response(ExpectedSerializer(row).data)

    @extend_schema(operation_id="node_expected_gpus_declare", request=ExpectedSerializer, responses={201: ExpectedSerializer})
    def declare(self, request: Request, cluster: str, name: str) -> Response:
        """Declares the number of physical GPUs, with a reason. Takes effect with the next collection run."""
        node = self._node(cluster, name)
        result = _validated(ExpectedSerializer(data=request.data))
        try:
            row = expected.declare(caller(request), node, count=result["count"], reason=result["reason"], now=timezone.now())
        except FieldError as error:
            raise _refuse(error) from error
        return Response(ExpectedSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="node_expected_gpus_withdraw", responses={204: None})
    def withdraw(self, request: Request, cluster: str, name: str) -> Response:
        """Removes the declared number. It is learned again from the next collection run on."""
        if not expected.withdraw(caller(request), self._node(cluster, name), now=timezone.now()):
            raise Http404(f"No GPU count is declared for node {name}.")
        return Response(status=status.HTTP_204_NO_CONTENT)
