"""Prices of GPUs by product, cluster and machine type."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.protocol.authentication import caller
from fleet.api.protocol.fields import Body
from fleet.api.protocol.idempotent import refusals
from fleet.api.protocol.lists import ListViewSet
from fleet.filters import PriceFilters
from fleet.models import Price, Role
from fleet.selectors import prices as select
from fleet.services import prices as service


class PriceSerializer(serializers.ModelSerializer):
    """What one physical GPU costs for an hour. An empty cluster or machine type stands for every one."""

    class Meta:
        model = Price
        fields = ["id", "product", "cluster", "machine_type", "per_gpu_hour", "currency", "source", "updated_at"]


class PriceInput(Body):
    """The price of the same product, cluster and machine type is replaced."""

    product = serializers.CharField(max_length=200)
    cluster = serializers.CharField(max_length=253, required=False, allow_blank=True)
    machine_type = serializers.CharField(max_length=100, required=False, allow_blank=True)
    per_gpu_hour = serializers.DecimalField(max_digits=12, decimal_places=4, min_value=0, max_value=100_000)
    currency = serializers.RegexField("^[A-Za-z]{3}$", help_text="ISO 4217: USD.")
    source = serializers.CharField(max_length=200, required=False, allow_blank=True)  # type: ignore[assignment]  # a field's name


class Prices(ListViewSet):
    """Prices, by product. For a GPU the price of its machine type counts before that of its cluster and of its product."""

    queryset = Price.objects.none()
    serializer_class = PriceSerializer
    filterset_class = PriceFilters
    orderings = {"product": "product", "price": "per_gpu_hour", "updated": "updated_at"}
    default_ordering = "product"
    facet_names = ("product", "cluster", "machine_type", "currency")
    csv_columns = ("id", "product", "cluster", "machine_type", "per_gpu_hour", "currency", "source", "updated_at")
    lookup_value_regex = "[0-9]+"
    roles = {"create": Role.OPERATOR, "destroy": Role.OPERATOR}

    def get_queryset(self) -> QuerySet[Price]:
        return select.prices()

    def _price(self, pk: str) -> Price:
        price = select.get_price(int(pk))
        if price is None:
            raise Http404(f"Price {pk} not found.")
        return price

    @extend_schema(operation_id="price", responses=PriceSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """Returns one price."""
        return Response(PriceSerializer(self._price(pk)).data)

    @extend_schema(operation_id="price_set", request=PriceInput, responses={201: PriceSerializer})
    def create(self, request: Request) -> Response:
        """Sets the price of a product, in all clusters or one, of all machine types or one."""
        given = PriceInput(data=request.data)
        given.is_valid(raise_exception=True)
        with refusals():
            row = service.save(
                caller(request), {name: str(value) for name, value in given.validated_data.items()}, timezone.now()
            )
        return Response(PriceSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="price_remove", responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Removes a price."""
        with refusals():
            service.remove(caller(request), self._price(pk), timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)
