"""What pools and classes have in common over REST: their standing, and applying a stream of YAML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.api.authentication import acting
from fleet.api.parsers import JSONParser
from fleet.api.problems import Conflict, problem
from fleet.domain.asking import NotNow, NotYours
from fleet.models import Role
from fleet.services import applying

T = TypeVar("T")
YAML = "application/yaml"


class StandingSerializer(serializers.Serializer):
    """Whether a promise is kept, since when, and what speaks against it."""

    state = serializers.ChoiceField(["kept", "at_risk", "broken", "unknown"])
    since = serializers.DateTimeField(allow_null=True)
    reasons = serializers.ListField(child=serializers.CharField())


class PromisePeriodSerializer(serializers.Serializer):
    """One period in which a promise was kept, at risk or broken."""

    since = serializers.DateTimeField(source="period.lower")
    until = serializers.DateTimeField(source="period.upper", allow_null=True)
    state = serializers.CharField()
    reasons = serializers.ListField(child=serializers.CharField())


class YAMLParser(BaseParser):
    """The body as text: the service reads it, with line and field of every mistake."""

    media_type = YAML

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> dict[str, str]:
        return {"text": stream.read().decode("utf-8", errors="replace")}


class Stream(serializers.Serializer):
    text = serializers.CharField()
    source = serializers.CharField(required=False, allow_blank=True, max_length=200)  # type: ignore[assignment]  # a field's name
    dry_run = serializers.BooleanField(required=False, default=False)


class ChangeSerializer(serializers.Serializer):
    kind = serializers.CharField()
    name = serializers.CharField()
    action = serializers.ChoiceField(["create", "update", "unchanged", "remove"])
    fields = serializers.ListField(child=serializers.ListField())  # type: ignore[assignment]  # a field's name


class AppliedSerializer(serializers.Serializer):
    dry_run = serializers.BooleanField()
    changes = ChangeSerializer(many=True)


class Apply(APIView):
    """POST a YAML stream of pools and classes (or JSON with it as `text`); `?dry_run=true` tells what would change."""

    roles = {None: Role.OPERATOR}
    parser_classes = [YAMLParser, JSONParser]

    @extend_schema(operation_id="pools_apply", request=Stream, responses=AppliedSerializer)
    def post(self, request: Request) -> Response:
        """All of it or nothing; the same stream twice changes nothing."""
        # Of a YAML body the source stands in the query, and is checked like the field of a JSON body.
        asked = request.query_params.get("source")
        told = Stream(data={"source": asked, **request.data} if asked and isinstance(request.data, dict) else request.data)
        told.is_valid(raise_exception=True)
        given = told.validated_data
        dry_run = given["dry_run"] or request.query_params.get("dry_run") == "true"
        source = given.get("source") or asked or "the API"
        done = refused(lambda: applying.apply(acting(request), given["text"], source, timezone.now(), dry_run=dry_run))
        if done.problems:
            errors = [msgspec.to_builtins(one) for one in done.problems]
            lines = "; ".join(f"line {one.line}, {one.field}: {one.text}" for one in done.problems[:5])
            return Response(problem(400, f"Nothing was applied. {lines}", problems=errors), status=400)
        made = [{"kind": one.kind, "name": one.name, "action": one.action, "fields": one.fields} for one in done.changes]
        made += [{"kind": kind, "name": name, "action": "remove", "fields": []} for kind, name in done.removed]
        return Response({"dry_run": dry_run, "changes": made})


class Export(APIView):
    """Every pool and class as a YAML stream; applying it changes nothing."""

    @extend_schema(operation_id="pools_export", responses={(200, YAML): OpenApiTypes.STR})
    def get(self, request: Request) -> HttpResponse:
        """The stream as a file."""
        return HttpResponse(applying.export(), content_type=f"{YAML}; charset=utf-8")


def refused(act: Callable[[], T]) -> T:
    """What `act` gives; a step that cannot be taken becomes 409, one that is not this person's 403."""
    try:
        return act()
    except NotNow as error:
        raise Conflict(str(error)) from error
    except NotYours as error:
        raise PermissionDenied(str(error)) from error
