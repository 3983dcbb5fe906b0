"""Availability and compliance of pools and classes, and applying a YAML stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import IO, TypeVar

import msgspec
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.api.protocol.authentication import acting, caller
from fleet.api.protocol.fields import Body
from fleet.api.protocol.parsers import JSONParser
from fleet.api.protocol.problems import CONTENT_TYPE, Conflict, problem
from fleet.domain.refusals import NotNow, NotYours
from fleet.models import Role
from fleet.services import documents
from fleet.services.audit import audit

T = TypeVar("T")
YAML = "application/yaml"
DOCUMENTS = {"type": "array", "items": {"type": "object", "additionalProperties": {}}}
"""Schema of the documents of a manifest as JSON."""


class AvailabilitySerializer(serializers.Serializer):
    """An availability target and the observed availability in the window. State none: no target, or nothing observed yet."""

    target_percent = serializers.FloatField(allow_null=True)
    state = serializers.ChoiceField(["none", "met", "at_risk", "violated"])
    percent = serializers.FloatField(allow_null=True)
    observed_s = serializers.IntegerField()
    window_s = serializers.IntegerField()


class ViolationSerializer(serializers.Serializer):
    """One violated condition. `pool` is the pool from which a class inherits it; empty for the class's own."""

    id = serializers.CharField()
    text = serializers.CharField()
    since = serializers.DateTimeField()
    pool = serializers.CharField(allow_blank=True)


class ComplianceSerializer(serializers.Serializer):
    """Compliance of a pool or class, since when, and its violations. State null: not evaluated yet."""

    state = serializers.ChoiceField(["met", "at_risk", "violated"], allow_null=True)
    since = serializers.DateTimeField(allow_null=True)
    violations = ViolationSerializer(many=True)


class CompliancePeriodSerializer(serializers.Serializer):
    """One period in which compliance had one state."""

    since = serializers.DateTimeField(source="period.lower")
    until = serializers.DateTimeField(source="period.upper", allow_null=True)
    state = serializers.CharField()
    violations = ViolationSerializer(many=True)


class YAMLParser(BaseParser):
    """The body as text: the service reads it, with line and field of every mistake."""

    media_type = YAML

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, object] | None = None
    ) -> dict[str, str]:
        return {"text": stream.read().decode("utf-8", errors="replace")}


class Stream(Body):
    text = serializers.CharField()
    source = serializers.CharField(required=False, allow_blank=True, max_length=200)  # type: ignore[assignment]  # a field's name
    dry_run = serializers.BooleanField(required=False, default=False)
    prune = serializers.BooleanField(
        required=False, default=False, help_text="Remove what `source` declared before and leaves out now; needs `source`."
    )


class ChangeSerializer(serializers.Serializer):
    kind = serializers.CharField()
    name = serializers.CharField()
    action = serializers.ChoiceField(["create", "update", "unchanged", "remove"])
    fields = serializers.ListField(child=serializers.ListField())  # type: ignore[assignment]  # a field's name


class AppliedSerializer(serializers.Serializer):
    dry_run = serializers.BooleanField()
    changes = ChangeSerializer(many=True)


class Apply(APIView):
    """POST a YAML stream of pools and classes (or JSON with it as `text`); `?dry_run=true` returns what would change."""

    roles = {None: Role.OPERATOR}
    parser_classes = [YAMLParser, JSONParser]

    @extend_schema(operation_id="pools_apply", request=Stream, responses=AppliedSerializer)
    def post(self, request: Request) -> Response:
        """Applies all of the stream or nothing. Applying it twice changes nothing."""
        # For a YAML body the source is in the query, and is checked like the field of a JSON body.
        asked = request.query_params.get("source")
        stream = Stream(data={"source": asked, **request.data} if asked and isinstance(request.data, dict) else request.data)
        stream.is_valid(raise_exception=True)
        given = stream.validated_data
        dry_run = given["dry_run"] or request.query_params.get("dry_run") == "true"
        prune = given["prune"] or request.query_params.get("prune") == "true"
        named = given.get("source") or asked
        if prune and not named:
            raise ValidationError({"source": ["Required for pruning: the source whose pools and classes are pruned."]})
        source = named or "the API"
        done = refused(
            lambda: documents.apply(acting(request), given["text"], source, timezone.now(), dry_run=dry_run, prune=prune)
        )
        if done.problems:
            errors = [msgspec.to_builtins(item) for item in done.problems]
            lines = "; ".join(f"line {entry.line}, {entry.field}: {entry.text}" for entry in done.problems[:5])
            return Response(problem(400, f"Nothing was applied. {lines}", problems=errors), status=400, content_type=CONTENT_TYPE)
        made = [
            {"kind": change.kind, "name": change.name, "action": change.action, "fields": change.fields}
            for change in done.changes
        ]
        made += [{"kind": kind, "name": name, "action": "remove", "fields": []} for kind, name in done.removed]
        return Response({"dry_run": dry_run, "changes": made})


class Export(APIView):
    """Every pool and class as a YAML stream; applying it changes nothing."""

    @extend_schema(operation_id="pools_export", responses={(200, YAML): OpenApiTypes.ANY})
    def get(self, request: Request) -> HttpResponse:
        """The stream as a file. Leaves an entry in the audit log, as every export does."""
        audit(caller(request), "export.yaml", "pools and workload classes")
        return HttpResponse(documents.export(), content_type=f"{YAML}; charset=utf-8")


def refused(act: Callable[[], T]) -> T:
    """Returns the result of `act`; a refused step becomes 409, one without permission 403."""
    try:
        return act()
    except NotNow as error:
        raise Conflict(str(error)) from error
    except NotYours as error:
        raise PermissionDenied(str(error)) from error
