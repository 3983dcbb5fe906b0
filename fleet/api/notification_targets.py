"""Notification targets. Addresses and secrets are write-only; a webhook's secret is returned once, when it is created."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from fleet import tasks
from fleet.api.protocol.authentication import caller
from fleet.api.protocol.fields import Body
from fleet.api.protocol.lists import ListViewSet
from fleet.filters import NotificationTargetFilters
from fleet.models import NotificationTarget, Role
from fleet.selectors.notifications import notifications as select
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


class TargetInput(Body):
    name = serializers.CharField(max_length=100)
    kind = serializers.ChoiceField(choices=targets.KINDS)
    address = serializers.CharField(
        max_length=2000, required=False, default="", write_only=True, help_text="Needed unless the kind is inbox."
    )
    secret = serializers.CharField(max_length=200, required=False, default="", write_only=True)


class TargetChange(Body):
    """Omitted fields are not changed."""

    name = serializers.CharField(max_length=100, required=False)
    address = serializers.CharField(max_length=2000, required=False, write_only=True)
    secret = serializers.CharField(max_length=200, required=False, write_only=True)


class MadeTarget(TargetSerializer):
    secret = serializers.CharField(allow_null=True, read_only=True)

    class Meta(TargetSerializer.Meta):
        fields = [*TargetSerializer.Meta.fields, "secret"]


class NotificationTargets(ListViewSet):
    """Notification targets."""

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
            raise Http404(f"Target {pk} not found.")
        return target

    @extend_schema(operation_id="notification_target", responses=TargetSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """Returns one target."""
        return Response(TargetSerializer(self._target(pk)).data)

    @extend_schema(operation_id="notification_target_create", request=TargetInput, responses={201: MadeTarget})
    def create(self, request: Request) -> Response:
        """Adds a target. `secret` in the response signs a webhook's messages and is returned only once."""
        given = TargetInput(data=request.data)
        given.is_valid(raise_exception=True)
        target, secret = targets.create(caller(request), **given.validated_data)
        body: dict[str, object] = {**TargetSerializer(self._target(str(target.pk))).data, "secret": secret or None}
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
        """Deletes the target and its rules; its deliveries are kept."""
        targets.delete(caller(request), self._target(pk))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        operation_id="notification_target_test",
        request=None,
        responses={202: inline_serializer("QueuedTest", {"delivery": serializers.IntegerField()})},
    )
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        """Sends a test message; `deliveries/{delivery}/` returns its state."""
        delivery = targets.send_test(caller(request), self._target(pk), timezone.now())
        tasks.wake_notify()
        return Response({"delivery": delivery.pk}, status=status.HTTP_202_ACCEPTED)
