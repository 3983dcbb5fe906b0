"""Xid codes: what each means here, and an operator's decision about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, get_args

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api import windows
from fleet.api.lists import FACETS, WithCSV, csv_answer, one_page
from fleet.domain.catalog.xids import Action
from fleet.domain.findings import Severity
from fleet.models import Role
from fleet.selectors import xids as select
from fleet.services import xids as decide

_FACETS = ("severity", "action", "audience", "family", "overridden")
_OWN = ("q", "format")


class OverrideSerializer(serializers.Serializer):
    """An operator's decision instead of the catalogue's word. Without an action the catalogue's stays."""

    severity = serializers.ChoiceField(choices=[severity.value for severity in Severity])
    action = serializers.ChoiceField(choices=list(get_args(Action)), required=False, allow_blank=True, default="")
    reason = serializers.CharField(max_length=2_000)
    by = serializers.CharField(source="by.username", read_only=True, allow_null=True, default=None)
    at = serializers.DateTimeField(read_only=True)


class XidSerializer(serializers.Serializer):
    """One code: what it means here, what the catalogue says, and who of the sources sees it otherwise."""

    code = serializers.IntegerField()
    name = serializers.CharField()
    family = serializers.CharField()
    severity = serializers.CharField()
    action = serializers.CharField()
    audience = serializers.CharField()
    raised = serializers.CharField(help_text="once, repeat, alone or never: when an event becomes a finding.")
    default_severity = serializers.CharField()
    default_action = serializers.CharField()
    says = serializers.DictField(child=serializers.CharField(), help_text="Source to its own words.")
    nvidia_then = serializers.CharField(help_text="NVIDIA's bucket for the investigation behind its immediate action.")
    disagree = serializers.ListField(child=serializers.CharField(), help_text="Sources that see it otherwise than `severity`.")
    note = serializers.CharField()
    overridden = serializers.SerializerMethodField()
    override = OverrideSerializer(allow_null=True)
    bursts_24h = serializers.IntegerField(source="bursts")

    def get_overridden(self, row: select.PolicyRow) -> bool:
        return row.override is not None


_COLUMNS = [str(name) for name in XidSerializer().fields if name != "override"]
_LIST = inline_serializer(
    "XidList",
    {
        "results": XidSerializer(many=True),
        "next": serializers.CharField(allow_null=True),
        "previous": serializers.CharField(allow_null=True),
    },
)
_FILTERS = [OpenApiParameter("q", str, description="Words in code, name, family, severity, action or audience: all of them.")] + [
    OpenApiParameter(name, str, many=True, description="Any of these values.") for name in _FACETS
]


class Xids(WithCSV, viewsets.ViewSet):
    """What each Xid code means here. Some 130 rows: they come on one page."""

    lookup_field = "code"
    lookup_value_regex = r"\d{1,5}"
    roles = {"override": Role.OPERATOR, "withdraw": Role.OPERATOR}

    @extend_schema(operation_id="xids_list", parameters=_FILTERS, responses=_LIST)
    def list(self, request: Request) -> Any:
        """Every code of the catalogue, and those that were seen or decided about although it does not hold them."""
        rows = [_plain(row) for row in self._found(request)]
        if request.accepted_renderer.format != "csv":
            return Response(one_page(rows))
        return csv_answer("xids", rows, _COLUMNS)

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
        """One code. One that the catalogue does not hold has the policy of the unknown."""
        windows.only(request, ())
        return Response(_plain(select.policy(int(code), timezone.now())))

    @extend_schema(operation_id="xid_override", request=OverrideSerializer, responses=XidSerializer)
    @action(detail=True, methods=["put"])
    def override(self, request: Request, code: str) -> Response:
        """Decides what the code means from the next pass on. Kept in the audit log with the reason."""
        asked = OverrideSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        words = asked.validated_data
        try:
            decide.override(
                int(code), severity=words["severity"], action=words["action"], reason=words["reason"], by=_user(request)
            )
        except decide.RefusedError as refused:
            raise ValidationError({refused.field: [str(refused)]}) from refused
        return self.retrieve(request, code)

    @extend_schema(operation_id="xid_withdraw", responses={204: None})
    @override.mapping.delete
    def withdraw(self, request: Request, code: str) -> Response:
        """Goes back to the catalogue's word."""
        decide.withdraw(int(code), by=_user(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _found(self, request: Request, leave_out: str = "") -> Iterator[select.PolicyRow]:
        params = request.query_params
        if unknown := sorted(set(params) - {*_OWN, *_FACETS}):
            known = ", ".join(sorted({"q", *_FACETS}))
            raise ValidationError({name: [f"There is no such filter. Filters here: {known}."] for name in unknown})
        wanted = {
            name: {part for one in params.getlist(name) for part in one.split(",") if part}
            for name in _FACETS
            if name != leave_out
        }
        for row in select.found(select.policies(timezone.now()), params.get("q", "")):
            plain = _plain(row)
            if all(not values or _word(plain[name]) in values for name, values in wanted.items()):
                yield row


def _plain(row: select.PolicyRow) -> dict[str, Any]:
    return dict(XidSerializer(row).data)


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _user(request: Request) -> Any:
    return request.user
