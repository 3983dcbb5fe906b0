"""Targets of notifications. Addresses and secrets go in and never come out; a webhook's secret is told once, when it is made."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from fleet import tasks
from fleet.api.authentication import caller
from fleet.api.lists import ListViewSet
from fleet.filters import NotificationTargetFilters
from fleet.models import NotificationTarget, Role
from fleet.selectors import notifications as select
from fleet.services.notifications import targets


class TargetSerializer(serializers.ModelSerializer):
    """A target. `shown` is its address without anything secret."""

    rules = serializers.IntegerField(source="rule_count")
    last_state = serializers.CharField(allow_null=True)
    last_error = serializers.CharField(allow_null=True)
    last_at = serializers.DateTimeField(allow_null=True)

    class Meta:
        model = NotificationTarget
        fields = ["id", "name", "kind", "shown", "rules", "last_state", "last_error", "last_at", "created_at"]


class TargetInput(serializers.Serializer):
    name = serializers.CharField(max_length=100)
    kind = serializers.ChoiceField(choices=targets.KINDS)
    address = serializers.CharField(max_length=2000, write_only=True)
    secret = serializers.CharField(max_length=200, required=False, default="", write_only=True)


class TargetChange(serializers.Serializer):
    """What is left out stays as it is."""

    name = serializers.CharField(max_length=100, required=False)
    address = serializers.CharField(max_length=2000, required=False, write_only=True)
    secret = serializers.CharField(max_length=200, required=False, write_only=True)


class MadeTarget(TargetSerializer):
    secret = serializers.CharField(allow_null=True, read_only=True)

    class Meta(TargetSerializer.Meta):
        fields = [*TargetSerializer.Meta.fields, "secret"]


class NotificationTargets(ListViewSet):
    """Who is told."""

    queryset = NotificationTarget.objects.none()
    serializer_class = TargetSerializer
    filterset_class = NotificationTargetFilters
    orderings = {"name": "name", "created": "created_at"}
    default_ordering = "name"
    facet_names = ("kind",)
    csv_columns = ("id", "name", "kind", "shown", "rules", "last_state", "last_error", "last_at", "created_at")
    lookup_value_regex = "[0-9]+"
    roles = dict.fromkeys(("list", "facets", "retrieve", "test"), Role.OPERATOR)

    def get_queryset(self) -> QuerySet[NotificationTarget]:
        return select.targets()

    def _target(self, pk: str) -> NotificationTarget:
        target = select.get_target(int(pk))
        if target is None:
            raise Http404(f"There is no target {pk}.")
        return target

    @extend_schema(operation_id="notification_target", responses=TargetSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """One target."""
        return Response(TargetSerializer(self._target(pk)).data)

    @extend_schema(operation_id="notification_target_create", request=TargetInput, responses={201: MadeTarget})
    def create(self, request: Request) -> Response:
        """Adds a target. `secret` in the answer signs a webhook's messages and is told this once."""
        given = TargetInput(data=request.data)
        given.is_valid(raise_exception=True)
        target, secret = targets.create(caller(request), **given.validated_data)
        body: dict[str, Any] = {**TargetSerializer(self._target(str(target.pk))).data, "secret": secret or None}
        return Response(body, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="notification_target_change", request=TargetChange, responses=TargetSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Changes name, address or secret."""
        target = self._target(pk)
        given = TargetChange(data=request.data)
        given.is_valid(raise_exception=True)
        targets.update(caller(request), target, **given.validated_data)
        return Response(TargetSerializer(self._target(pk)).data)

    @extend_schema(operation_id="notification_target_delete", responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Takes the target and its rules away; the log of what it was sent stays."""
        targets.delete(caller(request), self._target(pk))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        operation_id="notification_target_test",
        request=None,
        responses={202: inline_serializer("QueuedTest", {"delivery": serializers.IntegerField()})},
    )
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        """Sends a test message; `deliveries/{delivery}/` says how it went."""
        delivery = targets.send_test(caller(request), self._target(pk), timezone.now())
        tasks.wake_notify()
        return Response({"delivery": delivery.pk}, status=status.HTTP_202_ACCEPTED)
