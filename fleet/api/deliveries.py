"""The delivery log."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.protocol.lists import ListViewSet
from fleet.filters import DeliveryFilters
from fleet.models import Delivery, DeliveryItem, Role
from fleet.selectors.notifications import notifications as select


class NoticeSerializer(serializers.ModelSerializer):
    """One event of a delivery."""

    kind = serializers.CharField(source="notice.kind")
    at = serializers.DateTimeField(source="notice.at")
    recovery = serializers.BooleanField(source="notice.recovery")
    severity = serializers.CharField(source="notice.severity")
    cluster = serializers.CharField(source="notice.cluster.name", default=None, allow_null=True)
    node = serializers.CharField(source="notice.node.name", default=None, allow_null=True)
    title = serializers.CharField(source="notice.title")

    class Meta:
        model = DeliveryItem
        fields = ["kind", "at", "recovery", "severity", "cluster", "node", "title"]


class DeliverySerializer(serializers.ModelSerializer):
    """One delivery. `uid` is sent to the receiver and stays the same over retries; `error` is the newest failure."""

    rule = serializers.CharField(source="rule_name")
    target = serializers.CharField(source="target_name")
    notices = NoticeSerializer(source="items", many=True)

    class Meta:
        model = Delivery
        fields = [
            "id", "uid", "rule", "target", "is_test", "state", "tries", "error", "created_at", "due_at", "sent_at", "ended_at",
            "notices",
        ]  # fmt: skip


class Deliveries(ListViewSet):
    """Deliveries, newest first, with their attempts and outcome."""

    queryset = Delivery.objects.none()
    serializer_class = DeliverySerializer
    filterset_class = DeliveryFilters
    orderings = {"created": "created_at", "due": "due_at"}
    default_ordering = "-created"
    facet_names = ("state", "target", "rule")
    csv_columns = (
        *("id", "uid", "rule", "target", "is_test", "state", "tries", "error", "created_at", "due_at", "sent_at", "ended_at"),
    )
    lookup_value_regex = "[0-9]+"
    roles = dict.fromkeys(("list", "facets", "retrieve"), Role.OPERATOR)

    def get_queryset(self) -> QuerySet[Delivery]:
        return select.deliveries()

    @extend_schema(operation_id="delivery")
    def retrieve(self, request: Request, pk: str) -> Response:
        """Returns one delivery."""
        delivery = select.get_delivery(int(pk))
        if delivery is None:
            raise Http404(f"Delivery {pk} not found.")
        return Response(DeliverySerializer(delivery).data)
