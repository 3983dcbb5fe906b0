"""Incidents: findings that share a cause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from django.db.models import QuerySet
from django.http import Http404, QueryDict
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.protocol.fields import Body
from fleet.api.protocol.lists import ListViewSet
from fleet.domain.refusals import FieldError
from fleet.filters import IncidentFilters
from fleet.models import FindingRow, Role, User
from fleet.selectors.facets import Facet
from fleet.selectors.incidents import incidents as select
from fleet.selectors.incidents import rows as incident_rows
from fleet.selectors.incidents.facets import incident_facets
from fleet.selectors.incidents.rows import IncidentRow
from fleet.services import incidents, silences

if TYPE_CHECKING:
    from fleet.selectors.incidents.incidents import NamedIncident


class CauseSerializer(serializers.Serializer):
    """The cause: id of its rule, and a sentence."""

    rule = serializers.CharField()
    text = serializers.CharField()


class IncidentNode(serializers.Serializer):
    """A node of an incident."""

    cluster = serializers.CharField()
    name = serializers.CharField()


class AffectedPodSerializer(serializers.Serializer):
    """A pod that holds GPU slots on a node of the incident."""

    cluster = serializers.CharField()
    namespace = serializers.CharField()
    name = serializers.CharField()
    team = serializers.CharField(help_text="Slug of the team its namespace belongs to; empty for none.")
    running = serializers.BooleanField(help_text="Whether it is running and ready.")


class AffectedSerializer(serializers.Serializer):
    """Who is affected now."""

    pods = AffectedPodSerializer(many=True, help_text="At most 100, those that are down first.")
    pod_count = serializers.IntegerField()
    pods_down = serializers.IntegerField()
    teams = serializers.ListField(child=serializers.CharField())
    classes = serializers.ListField(child=serializers.CharField())


class IncidentRowSerializer(serializers.Serializer):
    """An incident. `id` stays the same while its cause is open anywhere, whatever symptoms come and go."""

    id = serializers.IntegerField()
    status = serializers.ChoiceField(["open", "silenced", "resolved"])
    severity = serializers.ChoiceField(["info", "warning", "critical", "fatal"])
    cause = CauseSerializer(source="*")
    remedy = serializers.CharField()
    rung = serializers.SerializerMethodField()
    cluster = serializers.SerializerMethodField()
    first_evidence_at = serializers.DateTimeField(help_text="The earliest moment that its evidence names.")
    seen_at = serializers.DateTimeField(help_text="When Muster first saw it.")
    ended_at = serializers.DateTimeField(allow_null=True)
    nodes = IncidentNode(many=True)
    gpus = serializers.IntegerField(help_text="Physical GPUs of its nodes that are expected and not usable now.")
    findings = serializers.SerializerMethodField()
    affected = AffectedSerializer()

    @extend_schema_field({"type": ["string", "null"]})
    def get_rung(self, row: IncidentRow) -> str | None:
        return row.rung or None

    @extend_schema_field({"type": ["string", "null"]})
    def get_cluster(self, row: IncidentRow) -> str | None:
        return row.cluster or None

    @extend_schema_field({"type": "array", "items": {"type": "integer"}})
    def get_findings(self, row: IncidentRow) -> list[int]:
        return [finding.pk for finding in row.findings]


class IncidentSilence(Body):
    """Silences every open finding of an incident."""

    reason = serializers.CharField(max_length=silences.LONGEST_REASON)
    until = serializers.DateTimeField()


class Incidents(ListViewSet[FindingRow]):
    """Findings that share a cause, worst first. Without `status`: open ones that are not silenced."""

    queryset = FindingRow.objects.none()
    serializer_class = IncidentRowSerializer
    filterset_class = IncidentFilters
    orderings = {"severity": "badness", "first_evidence": "first_evidence_at", "seen": "seen_at"}
    default_ordering = "severity"
    facet_names = ("status", "severity", "cluster", "pool", "rule", "rung", "subject", "product")
    csv_columns = (
        "id", "status", "severity", "cause.rule", "cause.text", "cluster", "rung", "gpus", "first_evidence_at", "seen_at",
        "ended_at", "affected.pod_count", "affected.pods_down", "remedy",
    )  # fmt: skip
    lookup_value_regex = "[0-9]{1,18}"
    roles = {"silence": Role.OPERATOR}

    def get_queryset(self) -> QuerySet[FindingRow]:
        return select.incidents()

    def shown(self, rows: Sequence[FindingRow]) -> Sequence[object]:
        return incident_rows.rows(cast("Sequence[NamedIncident]", rows), timezone.now())

    @extend_schema(operation_id="incident", responses=IncidentRowSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """Returns one incident, by its id or that of any of its findings."""
        return Response(self.get_serializer(self._row(pk)).data)

    def count_facets(self, params: QueryDict) -> Sequence[Facet]:
        return incident_facets(self.facet_names, params)

    @extend_schema(operation_id="incident_silence", request=IncidentSilence, responses=IncidentRowSerializer, filters=False)
    @action(detail=True, methods=["post"])
    def silence(self, request: Request, pk: str) -> Response:
        """Silences every open finding of the incident until a given time. Requires the operator role; audited."""
        row, asked = self._row(pk), IncidentSilence(data=request.data)
        asked.is_valid(raise_exception=True)
        try:
            count = incidents.silence_incident(cast("User", request.user), row.id, now=timezone.now(), **asked.validated_data)
        except FieldError as refused:
            raise serializers.ValidationError({refused.field: [str(refused)]}) from refused
        if not count:
            raise serializers.ValidationError({"id": ["This incident is over, so it cannot be silenced."]})
        return Response(self.get_serializer(self._row(pk)).data)

    def _row(self, pk: str) -> IncidentRow:
        named = select.incident_of(int(pk))
        if named is None:
            raise Http404("Incident not found.")
        return incident_rows.rows([named], timezone.now())[0]
