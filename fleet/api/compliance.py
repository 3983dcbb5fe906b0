"""Compliance of pools and classes over time, as lists of periods, newest first."""

from __future__ import annotations

from typing import ClassVar

from django.db.models import QuerySet
from django.http import Http404, StreamingHttpResponse
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_serializer, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.declarations import AvailabilitySerializer, CompliancePeriodSerializer
from fleet.api.protocol.lists import FORMAT, ListViewSet
from fleet.filters import CompliancePeriodFilters
from fleet.models import CompliancePeriod, Pool
from fleet.selectors import declarations
from fleet.selectors.pools import pools


@extend_schema_serializer(many=False)
class PoolHistorySerializer(serializers.Serializer):
    """A page of compliance periods, with the availability of the pool; `availability_days` is the address of its days."""

    availability = AvailabilitySerializer()
    availability_days = serializers.URLField()
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = CompliancePeriodSerializer(many=True)

    class Meta:
        ref_name = "PoolHistory"


class _Periods(ListViewSet[CompliancePeriod]):
    kind: ClassVar[str]
    queryset = CompliancePeriod.objects.none()
    serializer_class = CompliancePeriodSerializer
    filterset_class = CompliancePeriodFilters
    default_ordering = "-id"
    facet_names = ("state",)
    csv_columns = ("since", "until", "state", "violations")

    def get_queryset(self) -> QuerySet[CompliancePeriod]:
        return pools.compliance_history(self.kind, self.kwargs["slug"])


@extend_schema_view(facets=extend_schema(operation_id="pool_history_facets"))
class PoolHistory(_Periods):
    """When the pool met its definition, was at risk or violated it, and why; and its availability."""

    kind = "pool"

    def initial(self, request: Request, *args: object, **kwargs: str) -> None:
        super().initial(request, *args, **kwargs)
        if not Pool.objects.filter(slug=kwargs["slug"], removed_at__isnull=True).exists():
            raise Http404(f"Pool {kwargs['slug']} not found.")

    @extend_schema(operation_id="pool_history", responses=PoolHistorySerializer, parameters=[FORMAT])
    def list(self, request: Request, *args: object, **kwargs: str) -> Response | StreamingHttpResponse:
        """When the pool met its definition, was at risk or violated it, and why, newest first; and its availability."""
        return super().list(request, *args, **kwargs)

    def page(self, rows: QuerySet[CompliancePeriod]) -> Response:
        slug = self.kwargs["slug"]
        row = pools.pool_rows(timezone.now(), slug)[0]
        where = reverse("api-availability") + f"?by=pool&pool={slug}&window=30d&days=true"
        return Response(
            {
                "availability": AvailabilitySerializer(row.availability).data,
                "availability_days": self.request.build_absolute_uri(where),
                **super().page(rows).data,
            }
        )


@extend_schema_view(
    list=extend_schema(operation_id="workload_class_history"),
    facets=extend_schema(operation_id="workload_class_history_facets"),
)
class ClassHistory(_Periods):
    """When the class met its definition, was at risk or violated it, and why; newest first."""

    kind = "class"

    def initial(self, request: Request, *args: object, **kwargs: str) -> None:
        super().initial(request, *args, **kwargs)
        if declarations.get_class(kwargs["slug"]) is None:
            raise Http404(f"Workload class {kwargs['slug']} not found.")
