"""Pools: their declaration, their members, availability and compliance."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.declarations import AvailabilitySerializer, ComplianceSerializer, refused
from fleet.api.protocol.authentication import acting
from fleet.api.protocol.lists import ListViewSet
from fleet.filters import PoolFilters
from fleet.models import Pool, Role
from fleet.selectors.pools import pools as select
from fleet.services import pools as service

OBJECT = {"type": "object", "additionalProperties": True}


class PoolSerializer(serializers.Serializer):
    """A pool with the sums of its members. null is unknown, never 0."""

    slug = serializers.CharField()
    title = serializers.CharField()
    purpose = serializers.CharField()
    owner = serializers.CharField()
    managed_by = serializers.CharField()
    nodes = serializers.SerializerMethodField()
    gpus = serializers.SerializerMethodField()
    slots = serializers.SerializerMethodField()
    products = serializers.SerializerMethodField()
    modes = serializers.SerializerMethodField()
    availability = serializers.SerializerMethodField()
    compliance = serializers.SerializerMethodField()
    declaration = serializers.DictField(source="spec")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def _row(self, pool: Pool) -> select.PoolRow:
        context: select.PoolRow = self.context["rows"][pool.slug]
        return context

    @extend_schema_field(OBJECT)
    def get_nodes(self, pool: Pool) -> dict[str, object]:
        row = self._row(pool)
        return {"total": row.nodes, "by_verdict": row.by_verdict}

    @extend_schema_field(OBJECT)
    def get_gpus(self, pool: Pool) -> dict[str, object]:
        row = self._row(pool)
        return {"physical": row.capacity.physical, "expected": row.capacity.expected, "usable": row.usable}

    @extend_schema_field(OBJECT)
    def get_slots(self, pool: Pool) -> dict[str, object]:
        capacity = self._row(pool).capacity
        return {
            "capacity": capacity.slots,
            "allocatable": capacity.allocatable,
            "requested": capacity.requested,
            "free": capacity.free,
            "free_unusable": capacity.free_unusable,
        }

    def get_products(self, pool: Pool) -> list[str]:
        return list(self._row(pool).products)

    def get_modes(self, pool: Pool) -> list[str]:
        return list(self._row(pool).modes)

    @extend_schema_field(AvailabilitySerializer)
    def get_availability(self, pool: Pool) -> dict[str, object]:
        return dict(AvailabilitySerializer(self._row(pool).availability).data)

    @extend_schema_field(ComplianceSerializer)
    def get_compliance(self, pool: Pool) -> dict[str, object]:
        return dict(ComplianceSerializer(self._row(pool).compliance).data)


class Pools(ListViewSet):
    """Pools, in the order of their names. `pools/apply/` changes them, `pools/export/` writes them as YAML."""

    queryset = Pool.objects.none()
    serializer_class = PoolSerializer
    filterset_class = PoolFilters
    orderings = {"slug": "slug", "purpose": "purpose", "owner": "owner", "updated": "updated_at"}
    default_ordering = "slug"
    facet_names = ("purpose", "owner", "managed_by")
    csv_columns = (
        "slug", "title", "purpose", "owner", "managed_by", "nodes.total", "gpus.physical", "gpus.expected", "gpus.usable",
        "slots.capacity", "slots.allocatable", "slots.requested", "slots.free",
        "availability.target_percent", "availability.state", "availability.percent", "availability.observed_s",
        "compliance.state", "compliance.since",
    )  # fmt: skip
    lookup_field = "slug"
    lookup_value_regex = "[a-z0-9-]+"
    roles = {"destroy": Role.OPERATOR}

    def get_queryset(self) -> QuerySet[Pool]:
        return Pool.objects.filter(removed_at__isnull=True)

    def get_serializer_context(self) -> dict[str, object]:
        return {**super().get_serializer_context(), "rows": {row.row.slug: row for row in select.pool_rows(timezone.now())}}

    def _pool(self, slug: str) -> Pool:
        pool = self.get_queryset().filter(slug=slug).first()
        if pool is None:
            raise Http404(f"Pool {slug} not found.")
        return pool

    @extend_schema(operation_id="pool", responses=PoolSerializer)
    def retrieve(self, request: Request, slug: str) -> Response:
        """Returns one pool."""
        return Response(self.get_serializer(self._pool(slug)).data)

    @extend_schema(operation_id="pool_remove", responses={204: None})
    def destroy(self, request: Request, slug: str) -> Response:
        """Removes the pool; its history is kept. 409 where a file declares it."""
        self._pool(slug)
        refused(lambda: service.remove(acting(request), slug, timezone.now()))
        return Response(status=204)
