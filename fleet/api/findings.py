"""Findings, with evidence and remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from django.db.models import QuerySet
from django.http import Http404, QueryDict
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.protocol.authentication import caller
from fleet.api.protocol.fields import Body
from fleet.api.protocol.lists import ListViewSet
from fleet.domain.evaluation import registry
from fleet.domain.refusals import FieldError
from fleet.filters import FindingFilters
from fleet.models import FindingRow, Role
from fleet.selectors.facets import Facet
from fleet.selectors.findings import findings as select
from fleet.services import silences


class FindingEvidence(serializers.Serializer):
    """One piece of evidence."""

    source = serializers.CharField()  # type: ignore[assignment]  # a field's name, not its option
    key = serializers.CharField()
    value = serializers.CharField()


class SilencedSerializer(serializers.Serializer):
    """The silence of a finding and its end."""

    until = serializers.DateTimeField()
    reason = serializers.CharField()
    by = serializers.CharField(allow_null=True)


class FindingSerializer(serializers.Serializer):
    """A finding. `node` is null if it concerns a cluster or a pool; `resolved_at` is null while it is open."""

    id = serializers.IntegerField()
    rule = serializers.CharField(help_text=f"One of: {registry.describe('health', 'lint', 'pools', 'classes')}.")
    title = serializers.SerializerMethodField()
    status = serializers.SerializerMethodField()
    severity = serializers.ChoiceField(["info", "warning", "critical", "fatal"])
    subject = serializers.CharField()
    cluster = serializers.SerializerMethodField()
    node = serializers.SerializerMethodField()
    key = serializers.CharField()
    text = serializers.CharField()
    evidence = FindingEvidence(many=True)
    remedy = serializers.CharField()
    rung = serializers.SerializerMethodField()
    opened_at = serializers.DateTimeField()
    resolved_at = serializers.DateTimeField(allow_null=True)
    silenced = serializers.SerializerMethodField()

    def get_title(self, finding: FindingRow) -> str:
        return registry.title(finding.rule)

    @extend_schema_field({"type": "string", "enum": ["open", "silenced", "resolved"]})
    def get_status(self, finding: FindingRow) -> str:
        if finding.period.upper is not None:
            return "resolved"
        return "silenced" if self._silences().of(finding) else "open"

    @extend_schema_field({"type": ["string", "null"]})
    def get_cluster(self, finding: FindingRow) -> str | None:
        return finding.cluster.name if finding.cluster else None

    @extend_schema_field({"type": ["string", "null"]})
    def get_node(self, finding: FindingRow) -> str | None:
        return finding.node.name if finding.node else None

    @extend_schema_field({"type": ["string", "null"]})
    def get_rung(self, finding: FindingRow) -> str | None:
        return finding.rung or None

    @extend_schema_field(SilencedSerializer(allow_null=True))
    def get_silenced(self, finding: FindingRow) -> dict[str, object] | None:
        silence = self._silences().of(finding)
        if silence is None:
            return None
        by = silence.by.get_username() if silence.by else None
        return dict(SilencedSerializer({"until": silence.until, "reason": silence.reason, "by": by}).data)

    def _silences(self) -> select.Silences:
        """Reads the silences once for all rows of a response."""
        context = cast("dict[str, object]", self.context)
        if "silences" not in context:
            context["silences"] = select.Silences()
        return cast("select.Silences", context["silences"])


class SilenceRequest(Body):
    """Silences a finding: it stays open and is shown as silenced."""

    reason = serializers.CharField(max_length=silences.LONGEST_REASON)
    until = serializers.DateTimeField()
    scope = serializers.ChoiceField(
        silences.SCOPES, default="finding", help_text="This finding alone, its rule on the node, in the cluster, or everywhere."
    )


class Findings(ListViewSet):
    """Findings of health and lint rules, worst first. Without `status`: open ones that are not silenced."""

    queryset = FindingRow.objects.none()
    serializer_class = FindingSerializer
    filterset_class = FindingFilters
    orderings = {
        "severity": "rank",
        "opened": "opened_at",
        "rule": "rule",
        "cluster": ("cluster__name", ""),
        "node": ("node__name", ""),
    }
    default_ordering = "severity"
    facet_names = ("status", "severity", "cluster", "rule", "subject", "rung", "product")
    csv_columns = (
        "id", "status", "severity", "rule", "title", "cluster", "node", "subject", "key", "text", "remedy", "rung",
        "opened_at", "resolved_at", "silenced.until", "silenced.by", "silenced.reason",
    )  # fmt: skip
    lookup_value_regex = "[0-9]{1,18}"
    roles = {"silence": Role.OPERATOR, "unsilence": Role.OPERATOR}

    def get_queryset(self) -> QuerySet[FindingRow]:
        return select.findings()

    def _finding(self, pk: str) -> FindingRow:
        finding = select.get_finding(int(pk))
        if finding is None:
            raise Http404("Finding not found.")
        return finding

    @extend_schema(operation_id="finding", responses=FindingSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """Returns one finding, open or resolved."""
        return Response(self.get_serializer(self._finding(pk)).data)

    def count_facets(self, params: QueryDict) -> Sequence[Facet]:
        return select.finding_facets(self.facet_names, params)

    @extend_schema(operation_id="finding_silence", request=SilenceRequest, responses=FindingSerializer, filters=False)
    @action(detail=True, methods=["post"])
    def silence(self, request: Request, pk: str) -> Response:
        """Silences the finding until a given time, with a reason. Requires the operator role; recorded in the audit log."""
        finding, asked = self._finding(pk), SilenceRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        try:
            silences.silence(caller(request), finding, now=timezone.now(), **asked.validated_data)
        except FieldError as refused:
            raise serializers.ValidationError({refused.field: [str(refused)]}) from refused
        return Response(self.get_serializer(finding).data)

    @extend_schema(operation_id="finding_unsilence", request=None, responses=FindingSerializer, filters=False)
    @action(detail=True, methods=["post"])
    def unsilence(self, request: Request, pk: str) -> Response:
        """Ends every silence that covers this finding. Requires the operator role; recorded in the audit log."""
        finding, now = self._finding(pk), timezone.now()
        while held := select.Silences(now).of(finding):
            silences.unsilence(caller(request), held, now=now)
        return Response(self.get_serializer(finding).data)
