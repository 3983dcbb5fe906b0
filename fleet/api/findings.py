"""Findings: what is wrong, since when, on what evidence, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from django.db.models import QuerySet
from django.http import Http404, QueryDict
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.lists import ListViewSet
from fleet.domain import rulebook
from fleet.filters import FindingFilters
from fleet.models import FindingRow, Role, User
from fleet.selectors import findings as select
from fleet.selectors.facets import Facet
from fleet.services import mutes


class FindingEvidence(serializers.Serializer):
    """One thing somebody said."""

    source = serializers.CharField()  # type: ignore[assignment]  # a field's name, not its option
    key = serializers.CharField()
    value = serializers.CharField()


class MutedSerializer(serializers.Serializer):
    """Somebody does not want to hear of it until then."""

    until = serializers.DateTimeField()
    reason = serializers.CharField()
    by = serializers.CharField(allow_null=True)


class FindingSerializer(serializers.Serializer):
    """One finding over its time. `node` is null where it is about a cluster or a pool; `resolved_at` is null while it stands."""

    id = serializers.IntegerField()
    rule = serializers.CharField()
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
    muted = serializers.SerializerMethodField()

    def get_title(self, finding: FindingRow) -> str:
        return rulebook.title(finding.rule)

    @extend_schema_field({"type": "string", "enum": ["open", "muted", "resolved"]})
    def get_status(self, finding: FindingRow) -> str:
        if finding.period.upper is not None:
            return "resolved"
        return "muted" if self._mutes().of(finding) else "open"

    @extend_schema_field({"type": ["string", "null"]})
    def get_cluster(self, finding: FindingRow) -> str | None:
        return finding.cluster.name if finding.cluster else None

    @extend_schema_field({"type": ["string", "null"]})
    def get_node(self, finding: FindingRow) -> str | None:
        return finding.node.name if finding.node else None

    @extend_schema_field({"type": ["string", "null"]})
    def get_rung(self, finding: FindingRow) -> str | None:
        return finding.rung or None

    @extend_schema_field(MutedSerializer(allow_null=True))
    def get_muted(self, finding: FindingRow) -> dict[str, Any] | None:
        mute = self._mutes().of(finding)
        if mute is None:
            return None
        by = mute.by.get_username() if mute.by else None
        return dict(MutedSerializer({"until": mute.until, "reason": mute.reason, "by": by}).data)

    def _mutes(self) -> select.Mutes:
        """One reading for all rows of an answer."""
        context = cast("dict[str, Any]", self.context)
        if "mutes" not in context:
            context["mutes"] = select.Mutes()
        return cast("select.Mutes", context["mutes"])


class MuteRequest(serializers.Serializer):
    """Mutes a finding: it stays, and is shown as muted."""

    reason = serializers.CharField(max_length=mutes.LONGEST_REASON)
    until = serializers.DateTimeField()
    scope = serializers.ChoiceField(
        mutes.SCOPES, default="finding", help_text="This finding alone, its rule on the node, in the cluster, or everywhere."
    )


class Findings(ListViewSet):
    """What rules of health and lint find wrong, worst first. Without `status` those that are open and not muted."""

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
        "opened_at", "resolved_at", "muted.until", "muted.by", "muted.reason",
    )  # fmt: skip
    lookup_value_regex = "[0-9]{1,18}"
    roles = {"mute": Role.OPERATOR, "unmute": Role.OPERATOR}

    def get_queryset(self) -> QuerySet[FindingRow]:
        return select.findings()

    def _finding(self, pk: str) -> FindingRow:
        finding = select.get_finding(int(pk))
        if finding is None:
            raise Http404("There is no such finding.")
        return finding

    @extend_schema(operation_id="finding", responses=FindingSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """One finding, open or resolved."""
        return Response(self.get_serializer(self._finding(pk)).data)

    def count_facets(self, params: QueryDict) -> Sequence[Facet]:
        return select.finding_facets(self.facet_names, params)

    @extend_schema(operation_id="finding_mute", request=MuteRequest, responses=FindingSerializer, filters=False)
    @action(detail=True, methods=["post"])
    def mute(self, request: Request, pk: str) -> Response:
        """Mutes it until a moment, with a reason. Needs an operator; stands in the audit log."""
        finding, asked = self._finding(pk), MuteRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        try:
            mutes.mute(_actor(request), finding, now=timezone.now(), **asked.validated_data)
        except mutes.MuteError as refused:
            raise serializers.ValidationError({refused.field: [str(refused)]}) from refused
        return Response(self.get_serializer(finding).data)

    @extend_schema(operation_id="finding_unmute", request=None, responses=FindingSerializer, filters=False)
    @action(detail=True, methods=["post"])
    def unmute(self, request: Request, pk: str) -> Response:
        """Ends every mute that covers this finding. Needs an operator; stands in the audit log."""
        finding, now = self._finding(pk), timezone.now()
        while held := select.Mutes(now).of(finding):
            mutes.unmute(_actor(request), held, now=now)
        return Response(self.get_serializer(finding).data)


def _actor(request: Request) -> User:
    return cast("User", request.user)  # the permission lets nobody else in
