"""Whether pools and classes kept their promise, as lists of periods, newest first."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import Http404
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request

from fleet.api.declarations import PromisePeriodSerializer
from fleet.api.lists import FORMAT, ListViewSet
from fleet.api.windows import last_days
from fleet.filters import PromisePeriodFilters
from fleet.models import Pool, PromisePeriod
from fleet.selectors import availability, classes, declarations, pools


class PoolHistorySerializer(serializers.Serializer):
    """A page of promise periods; and how much of the known time of the last 30 days (UTC, today among them) its nodes were
    ready: null where none is known. `availability` is where its days are told."""

    ready_percent = serializers.FloatField(allow_null=True)
    promise_percent = serializers.FloatField(allow_null=True)
    availability = serializers.URLField()
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = PromisePeriodSerializer(many=True)

    class Meta:
        ref_name = "PoolHistory"


class _Promises(ListViewSet):
    kind: ClassVar[str]
    queryset = PromisePeriod.objects.none()
    serializer_class = PromisePeriodSerializer
    filterset_class = PromisePeriodFilters
    default_ordering = "-id"
    facet_names = ("state",)
    csv_columns = ("since", "until", "state", "reasons")

    def get_queryset(self) -> QuerySet[PromisePeriod]:
        return pools.promise_history(self.kind, self.kwargs["slug"])


@extend_schema_view(facets=extend_schema(operation_id="pool_history_facets"))
class PoolHistory(_Promises):
    """When its promise was kept, at risk or broken, and why; and what share of the time it was ready."""

    kind = "pool"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self._pool = Pool.objects.filter(slug=kwargs["slug"], removed_at__isnull=True).first()
        if self._pool is None:
            raise Http404(f"There is no pool {kwargs['slug']}.")

    @extend_schema(operation_id="pool_history", responses=PoolHistorySerializer, parameters=[FORMAT])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        """When its promise was kept, at risk or broken, and why, newest first; and what share of the time it was ready."""
        listed = super().list(request, *args, **kwargs)
        if self._pool is None or request.accepted_renderer.format == "csv":
            return listed
        slug = self._pool.slug
        row = next(iter(availability.availability("pool", *last_days(30, timezone.now()), pool=slug)), None)
        where = reverse("api-availability") + f"?by=pool&pool={slug}&window=30d&days=true"
        listed.data = {
            "ready_percent": row.availability if row else None,
            "promise_percent": declarations.pool_of(self._pool).policy.promise_percent,
            "availability": request.build_absolute_uri(where),
            **listed.data,
        }
        return listed


@extend_schema_view(
    list=extend_schema(operation_id="workload_class_history"),
    facets=extend_schema(operation_id="workload_class_history_facets"),
)
class ClassHistory(_Promises):
    """When it was kept, at risk or broken, and why; newest first."""

    kind = "class"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if classes.get_row(kwargs["slug"]) is None:
            raise Http404(f"There is no workload class {kwargs['slug']}.")
