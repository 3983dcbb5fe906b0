"""What operators decide: waivers, maintenance, declared counts."""

from __future__ import annotations

from typing import Any, cast

from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api import windows
from fleet.models import Cluster, Node, Role, User
from fleet.selectors import clusters, decisions, nodes
from fleet.services import expected, maintenance, waivers
from fleet.services.decisions import LONGEST_REASON, DecisionError


class WaiverSerializer(serializers.Serializer):
    """A rung that need not be proved in the cluster."""

    rung = serializers.CharField(max_length=40)
    reason = serializers.CharField(max_length=LONGEST_REASON)
    by = serializers.SerializerMethodField()
    at = serializers.DateTimeField(read_only=True)

    def get_by(self, row: Any) -> str | None:
        return row.by.get_username() if row.by else None


class MaintenanceSerializer(serializers.Serializer):
    """A node that was taken out on purpose, in Muster. Without `until` it stays so until somebody ends it."""

    reason = serializers.CharField(max_length=LONGEST_REASON)
    until = serializers.DateTimeField(allow_null=True, required=False, default=None)
    by = serializers.SerializerMethodField()
    at = serializers.DateTimeField(read_only=True)

    def get_by(self, row: Any) -> str | None:
        return row.by.get_username() if row.by else None


class ExpectedSerializer(serializers.Serializer):
    """How many physical GPUs the node should have, as somebody declared."""

    count = serializers.IntegerField(min_value=0, max_value=expected.MOST)
    reason = serializers.CharField(max_length=LONGEST_REASON)
    by = serializers.SerializerMethodField()
    at = serializers.DateTimeField(read_only=True)

    def get_by(self, row: Any) -> str | None:
        return row.by.get_username() if row.by else None


def _told(serializer: serializers.Serializer) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def _refuse(error: DecisionError) -> ValidationError:
    return ValidationError({error.field: [str(error)]})


def _actor(request: Request) -> User:
    """Nobody comes this far without an account: ByRole sees to it."""
    return cast("User", request.user)


class Waivers(viewsets.GenericViewSet):
    """Waivers of one cluster. They stand in for a proof that is not there; a rung that fails, fails all the same."""

    queryset = Cluster.objects.none()
    serializer_class = WaiverSerializer
    pagination_class = None
    filter_backends = ()
    roles = {"grant": Role.OPERATOR, "withdraw": Role.OPERATOR}

    def _cluster(self, name: str) -> Cluster:
        cluster = clusters.get_cluster(name)
        if cluster is None:
            raise Http404(f"There is no cluster {name}.")
        return cluster

    @extend_schema(operation_id="cluster_waivers", responses=WaiverSerializer(many=True))
    def index(self, request: Request, cluster: str) -> Response:
        """Every waiver of the cluster."""
        windows.only(request, ())
        rows = decisions.waivers(self._cluster(cluster))
        return Response({"results": WaiverSerializer(rows, many=True).data, "next": None, "previous": None})

    @extend_schema(operation_id="cluster_waiver_grant", request=WaiverSerializer, responses={201: WaiverSerializer})
    def grant(self, request: Request, cluster: str) -> Response:
        """Waives a rung, with a reason. It counts from the next reading."""
        where = self._cluster(cluster)
        told = _told(WaiverSerializer(data=request.data))
        try:
            row = waivers.grant(_actor(request), where, told["rung"], reason=told["reason"], now=timezone.now())
        except DecisionError as error:
            raise _refuse(error) from error
        return Response(WaiverSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="cluster_waiver_withdraw", responses={204: None})
    def withdraw(self, request: Request, cluster: str, rung: str) -> Response:
        """Withdraws a waiver."""
        if not waivers.withdraw(_actor(request), self._cluster(cluster), rung, now=timezone.now()):
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
    """Whether a node was taken out on purpose, in Muster. Nothing is done to the cluster."""

    serializer_class = MaintenanceSerializer
    roles = {"begin": Role.OPERATOR, "end": Role.OPERATOR}

    @extend_schema(operation_id="node_maintenance", responses=MaintenanceSerializer)
    def show(self, request: Request, cluster: str, name: str) -> Response:
        """The maintenance the node is in; 404 where it is in none."""
        windows.only(request, ())
        row = decisions.maintenance_of(self._node(cluster, name), timezone.now())
        if row is None:
            raise Http404(f"{name} is not in maintenance.")
        return Response(MaintenanceSerializer(row).data)

    @extend_schema(operation_id="node_maintenance_begin", request=MaintenanceSerializer, responses={201: MaintenanceSerializer})
    def begin(self, request: Request, cluster: str, name: str) -> Response:
        """Takes the node out, with a reason and perhaps an end. It counts from the next reading."""
        node = self._node(cluster, name)
        told = _told(MaintenanceSerializer(data=request.data))
        try:
            row = maintenance.begin(_actor(request), node, reason=told["reason"], until=told["until"], now=timezone.now())
        except DecisionError as error:
            raise _refuse(error) from error
        return Response(MaintenanceSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="node_maintenance_end", responses={204: None})
    def end(self, request: Request, cluster: str, name: str) -> Response:
        """Takes the node back in."""
        if not maintenance.end(_actor(request), self._node(cluster, name), now=timezone.now()):
            raise Http404(f"{name} is not in maintenance.")
        return Response(status=status.HTTP_204_NO_CONTENT)


class NodeExpected(_OfNode):
    """How many physical GPUs a node should have, where somebody declared it."""

    serializer_class = ExpectedSerializer
    roles = {"declare": Role.OPERATOR, "withdraw": Role.OPERATOR}

    @extend_schema(operation_id="node_expected_gpus", responses=ExpectedSerializer)
    def show(self, request: Request, cluster: str, name: str) -> Response:
        """What was declared for this very node; 404 where its count is learned."""
        windows.only(request, ())
        row = decisions.expected_of(self._node(cluster, name))
        if row is None:
            raise Http404(f"Nobody declared the GPUs of {name}: their number is learned.")
        return Response(ExpectedSerializer(row).data)

    @extend_schema(operation_id="node_expected_gpus_declare", request=ExpectedSerializer, responses={201: ExpectedSerializer})
    def declare(self, request: Request, cluster: str, name: str) -> Response:
        """Declares the number of physical GPUs, with a reason. It counts from the next reading."""
        node = self._node(cluster, name)
        told = _told(ExpectedSerializer(data=request.data))
        try:
            row = expected.declare(_actor(request), node, count=told["count"], reason=told["reason"], now=timezone.now())
        except DecisionError as error:
            raise _refuse(error) from error
        return Response(ExpectedSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="node_expected_gpus_withdraw", responses={204: None})
    def withdraw(self, request: Request, cluster: str, name: str) -> Response:
        """From the next reading the number is learned again."""
        if not expected.withdraw(_actor(request), self._node(cluster, name), now=timezone.now()):
            raise Http404(f"Nobody declared the GPUs of {name}.")
        return Response(status=status.HTTP_204_NO_CONTENT)
