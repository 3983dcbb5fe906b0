"""Xid codes: the effective policy of each, and operators' overrides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import get_args

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.protocol import windows
from fleet.api.protocol.authentication import caller
from fleet.api.protocol.fields import Body
from fleet.api.protocol.lists import FACETS, WithCSV, csv_answer, one_page, whole_list
from fleet.domain.catalog.xids import Action
from fleet.domain.findings import Severity
from fleet.domain.refusals import FieldError
from fleet.models import Role
from fleet.selectors.xids import xids as select
from fleet.services import xids as decide

_FACETS = ("severity", "action", "audience", "family", "overridden")
_OWN = ("q", "format")


class OverrideSerializer(Body):
    """An operator's override of the catalogue. Without an action, the catalogue's action is kept."""

    severity = serializers.ChoiceField(choices=[severity.value for severity in Severity])
    action = serializers.ChoiceField(choices=list(get_args(Action)), required=False, allow_blank=True, default="")
    reason = serializers.CharField(max_length=2_000)
    by = serializers.CharField(source="by.username", read_only=True, allow_null=True, default=None)
    at = serializers.DateTimeField(read_only=True)


class XidSerializer(serializers.Serializer):
    """A code: effective policy, the catalogue's policy, and differing sources."""

    code = serializers.IntegerField()
    name = serializers.CharField()
    family = serializers.CharField()
    severity = serializers.CharField()
    action = serializers.CharField()
    audience = serializers.CharField()
    raised = serializers.CharField(help_text="once, repeat, alone or never: when an event becomes a finding.")
    default_severity = serializers.CharField()
    default_action = serializers.CharField()
    says = serializers.DictField(child=serializers.CharField(), help_text="Source to its text.")
    nvidia_then = serializers.CharField(help_text="NVIDIA's bucket for the investigation behind its immediate action.")
    disagree = serializers.ListField(child=serializers.CharField(), help_text="Sources that disagree with `severity`.")
    note = serializers.CharField()
    overridden = serializers.SerializerMethodField()
    override = OverrideSerializer(allow_null=True)
    bursts_24h = serializers.IntegerField(source="bursts")

    def get_overridden(self, row: select.PolicyRow) -> bool:
        return row.override is not None


_COLUMNS = [str(name) for name in XidSerializer().fields if name != "override"]
_LIST = whole_list("XidList", XidSerializer(many=True))
_FILTERS = [
    OpenApiParameter("q", str, description="Words that must all occur in code, name, family, severity, action or audience.")
] + [OpenApiParameter(name, str, many=True, description="Several values match rows with one of them.") for name in _FACETS]


class Xids(WithCSV, viewsets.ViewSet):
    """Policies of all Xid codes. About 130 rows, on one page."""

    lookup_field = "code"
    lookup_value_regex = r"\d{1,5}"
    roles = {"override": Role.OPERATOR, "withdraw": Role.OPERATOR}

    @extend_schema(operation_id="xids_list", parameters=_FILTERS, responses=_LIST)
    def list(self, request: Request) -> Response | StreamingHttpResponse:
        """Every code of the catalogue, and other codes that were seen or overridden."""
        rows = [_plain(row) for row in self._found(request)]
        if request.accepted_renderer.format != "csv":
            return Response(one_page(rows))
        return csv_answer(request, "xids", rows, _COLUMNS)

    @extend_schema(operation_id="xids_facets", parameters=_FILTERS, responses=FACETS)
    @action(detail=False)
    def facets(self, request: Request) -> Response:
        """Values and counts under the current filter; each facet counts under every filter but its own."""
        facets = {}
        for name in _FACETS:
            counts = Counter(_word(_plain(row)[name]) for row in self._found(request, leave_out=name))
            ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
            facets[name] = [{"value": value, "count": count} for value, count in ordered]
        return Response({"facets": facets})

    @extend_schema(operation_id="xid", responses=XidSerializer)
    def retrieve(self, request: Request, code: str) -> Response:
        """One code. A code that is not in the catalogue has the policy of unknown codes."""
        windows.only(request, ())
        return Response(_plain(select.policy(int(code), timezone.now())))

    @extend_schema(operation_id="xid_override", request=OverrideSerializer, responses=XidSerializer)
    @action(detail=True, methods=["put"])
    def override(self, request: Request, code: str) -> Response:
        """Overrides the policy of the code from the next collection run on. Recorded in the audit log with the reason."""
        asked = OverrideSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        words = asked.validated_data
        try:
            decide.override(
                int(code), severity=words["severity"], action=words["action"], reason=words["reason"], by=caller(request)
            )
        except FieldError as refused:
            raise ValidationError({refused.field: [str(refused)]}) from refused
        return self.retrieve(request, code)

    @extend_schema(operation_id="xid_withdraw", responses={204: None})
    @override.mapping.delete
    def withdraw(self, request: Request, code: str) -> Response:
        """Removes the override; the catalogue's policy applies again."""
        decide.withdraw(int(code), by=caller(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _found(self, request: Request, leave_out: str = "") -> Iterator[select.PolicyRow]:
        params = request.query_params
        if unknown := sorted(set(params) - {*_OWN, *_FACETS}):
            known = ", ".join(sorted({"q", *_FACETS}))
            raise ValidationError({name: [f"Unknown filter. Available filters: {known}."] for name in unknown})
        wanted = {
            name: {part for item in params.getlist(name) for part in item.split(",") if part}
            for name in _FACETS
            if name != leave_out
        }
        for row in select.matching(select.policies(timezone.now()), params.get("q", "")):
            plain = _plain(row)
            if all(not values or _word(plain[name]) in values for name, values in wanted.items()):
                yield row


def _plain(row: select.PolicyRow) -> dict[str, object]:
    return dict(XidSerializer(row).data)


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
