"""Workload classes: definition, availability and compliance, the room there is now, and the manifests."""

from __future__ import annotations

import msgspec
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.declarations import DOCUMENTS, YAML, AvailabilitySerializer, ComplianceSerializer, refused
from fleet.api.pools import OBJECT
from fleet.api.protocol import windows
from fleet.api.protocol.authentication import acting
from fleet.api.protocol.lists import ListViewSet
from fleet.domain.manifests.parameters import Parameters
from fleet.domain.manifests.render import KINDS, to_yaml
from fleet.domain.refusals import FieldError
from fleet.filters import ClassFilters
from fleet.models import Role, WorkloadClass
from fleet.selectors import classes as select
from fleet.services import classes as service


class ClassSerializer(serializers.Serializer):
    """A class with its compliance, the worst availability of its pools, and the room counted at the newest evaluation."""

    slug = serializers.CharField()
    title = serializers.CharField()
    managed_by = serializers.CharField()
    version = serializers.SerializerMethodField()
    purpose = serializers.SerializerMethodField()
    isolation = serializers.SerializerMethodField()
    pools = serializers.SerializerMethodField()
    availability = serializers.SerializerMethodField()
    compliance = serializers.SerializerMethodField()
    declaration = serializers.SerializerMethodField()
    headroom = serializers.DictField()
    headroom_at = serializers.DateTimeField(allow_null=True)
    updated_at = serializers.DateTimeField()

    def _row(self, row: WorkloadClass) -> select.ClassRow:
        context: select.ClassRow = self.context["rows"][row.slug]
        return context

    def get_version(self, row: WorkloadClass) -> int:
        return self._row(row).version.number

    def get_purpose(self, row: WorkloadClass) -> str:
        return self._row(row).class_spec.purpose

    @extend_schema_field(OBJECT)
    def get_isolation(self, row: WorkloadClass) -> dict[str, str]:
        result = self._row(row)
        return {"kind": result.class_spec.isolation, "words": result.isolation}

    def get_pools(self, row: WorkloadClass) -> list[str]:
        return list(self._row(row).class_spec.pools)

    @extend_schema_field(AvailabilitySerializer)
    def get_availability(self, row: WorkloadClass) -> dict[str, object]:
        return dict(AvailabilitySerializer(self._row(row).availability).data)

    @extend_schema_field(ComplianceSerializer)
    def get_compliance(self, row: WorkloadClass) -> dict[str, object]:
        return dict(ComplianceSerializer(self._row(row).compliance).data)

    @extend_schema_field(OBJECT)
    def get_declaration(self, row: WorkloadClass) -> dict[str, object]:
        spec: dict[str, object] = self._row(row).version.spec
        return spec


class Classes(ListViewSet):
    """The catalogue of workload classes."""

    queryset = WorkloadClass.objects.none()
    serializer_class = ClassSerializer
    filterset_class = ClassFilters
    orderings = {"slug": "slug", "title": "title", "updated": "updated_at"}
    default_ordering = "slug"
    facet_names = ("managed_by",)
    csv_columns = (
        "slug",
        "title",
        "version",
        "purpose",
        "isolation.kind",
        "pools",
        "availability.state",
        "availability.percent",
        "compliance.state",
        "headroom.replicas",
        "headroom_at",
    )
    lookup_field = "slug"
    lookup_value_regex = "[a-z0-9-]+"
    roles = {"destroy": Role.OPERATOR}

    def get_queryset(self) -> QuerySet[WorkloadClass]:
        return WorkloadClass.objects.filter(removed_at__isnull=True)

    def get_serializer_context(self) -> dict[str, object]:
        rows = {row.version.workload_class.slug: row for row in select.class_rows(timezone.now())}
        return {**super().get_serializer_context(), "rows": rows}

    def _row(self, slug: str) -> select.ClassRow:
        row = select.get_row(slug, timezone.now())
        if row is None:
            raise Http404(f"Workload class {slug} not found.")
        return row

    @extend_schema(operation_id="workload_class", responses=ClassSerializer)
    def retrieve(self, request: Request, slug: str) -> Response:
        """One class in its newest version."""
        return Response(self.get_serializer(self._row(slug).version.workload_class).data)

    @extend_schema(operation_id="workload_class_remove", responses={204: None})
    def destroy(self, request: Request, slug: str) -> Response:
        """Removes the class from the catalogue; its versions and requests are kept. 409 where a file declares it."""
        self._row(slug)
        refused(lambda: service.remove(acting(request), slug, timezone.now()))
        return Response(status=204)

    @extend_schema(
        operation_id="workload_class_headroom",
        responses=OpenApiTypes.OBJECT,
        filters=False,
        parameters=[OpenApiParameter("gpus", int, description="Slots per replica, where the class has several sizes.")],
    )
    @action(detail=True, methods=["get"])
    def headroom(self, request: Request, slug: str) -> Response:
        """Number of replicas that fit now, and once broken nodes are back, with the reason for every excluded node.

        Counted now over last known data; not a reservation.
        """
        windows.only(request, ("gpus",))
        now = timezone.now()
        try:
            class_spec = select.sized_spec(self._row(slug).class_spec, request.query_params.get("gpus"))
        except ValueError as error:
            raise ValidationError({"gpus": [str(error)]}) from error
        room = select.live_room(class_spec, now)
        gpus = class_spec.gpus if "gpus" in request.query_params else None
        return Response({"class": slug, "gpus": gpus, "as_of": room.as_of, "counted_at": now, **room.as_json()})

    @extend_schema(
        operation_id="workload_class_manifest",
        responses={(200, YAML): OpenApiTypes.ANY, (200, "application/json"): DOCUMENTS},
        filters=False,
        parameters=[
            OpenApiParameter("kind", str, enum=[kind.id for kind in KINDS], default="pod"),
            *(OpenApiParameter(name, str) for name in ("name", "namespace", "image", "queue", "pool")),
            OpenApiParameter("replicas", int),
            OpenApiParameter("gpus", int, description="Slots per replica, where the class has several sizes."),
            OpenApiParameter("format", str, enum=["json"], description="json gives the documents as a list."),
        ],
    )
    @action(detail=True, methods=["get"])
    def manifest(self, request: Request, slug: str) -> Response | HttpResponse:
        """Returns a manifest, as YAML, for a workload of this class."""
        windows.only(request, ("kind", "name", "namespace", "image", "queue", "pool", "replicas", "gpus"))
        fields = {
            name: request.query_params[name] for name in ("name", "namespace", "image", "queue") if name in request.query_params
        }
        try:
            replicas = int(request.query_params.get("replicas", "1"))
        except ValueError as error:
            raise ValidationError({"replicas": ["Enter a whole number."]}) from error
        query = request.query_params
        try:
            row = self._row(slug)
            class_spec = select.sized_spec(row.class_spec, query.get("gpus"))
        except ValueError as error:
            raise ValidationError({"gpus": [str(error)]}) from error
        try:
            documents = select.manifest_of(
                class_spec,
                query.get("kind", "pod"),
                msgspec.structs.replace(Parameters(replicas=replicas, class_version=row.version.number), **fields),
                timezone.now(),
                query.get("pool", ""),
            )
        except FieldError as error:
            raise ValidationError({error.field or "pool": [str(error)]}) from error
        if query.get("format") == "json":
            return Response(documents)
        return HttpResponse(to_yaml(documents), content_type=f"{YAML}; charset=utf-8")
