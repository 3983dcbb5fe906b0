"""Forecasts that were kept, compared with what happened."""

from __future__ import annotations

import msgspec
from django.http import Http404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_serializer
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from fleet.api.protocol import windows
from fleet.api.protocol.authentication import caller
from fleet.api.protocol.fields import Body
from fleet.api.protocol.idempotent import refusals
from fleet.api.protocol.lists import one_page
from fleet.domain.whatif.comparison import STATES
from fleet.models import KeptForecast, Role
from fleet.selectors import kept_forecasts as select
from fleet.services import kept_forecasts as service

MOST_LISTED = 100


class KeepForecast(Body):
    """A question of what-if/ and the title under which its answer is kept."""

    cluster = serializers.CharField(max_length=253)
    title = serializers.CharField(max_length=service.LONGEST_TITLE)
    changes = serializers.ListField(child=serializers.DictField(), min_length=1, max_length=200)


@extend_schema_field(OpenApiTypes.ANY)
class _AnyValue(serializers.Field):
    def to_representation(self, value: object) -> object:
        return value


class _FactDifference(serializers.Serializer):
    fact = serializers.CharField()
    forecast = _AnyValue()
    actual = _AnyValue()


class _NodeOutcomeRow(serializers.Serializer):
    name = serializers.CharField()
    state = serializers.ChoiceField(STATES)
    differences = _FactDifference(many=True)


class _KeptClass(serializers.Serializer):
    slug = serializers.CharField()
    before = serializers.IntegerField()
    after = serializers.IntegerField()


class KeptForecastRow(serializers.Serializer):
    """A kept forecast. `outcome` compares the facts that it was to change with the nodes as they were last evaluated."""

    id = serializers.IntegerField()
    cluster = serializers.CharField()
    title = serializers.CharField()
    by = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    changes = _AnyValue()
    classes = _KeptClass(many=True, help_text="Replicas with room, as forecast; pods come and go, so they are not compared.")
    text = serializers.CharField(help_text="The outcome as a sentence.")
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="Outcome to number of nodes.")
    nodes = _NodeOutcomeRow(many=True)


@extend_schema_serializer(many=False)
class KeptForecastList(serializers.Serializer):
    results = KeptForecastRow(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class KeptForecasts(ViewSet):
    """Forecasts of What if that were kept, the newest first."""

    roles = {"create": Role.OPERATOR, "destroy": Role.OPERATOR}
    lookup_value_regex = "[0-9]+"

    @extend_schema(operation_id="kept_forecasts", responses=KeptForecastList)
    def list(self, request: Request) -> Response:
        """Returns the newest 100 with their outcomes."""
        windows.only(request, ())
        rows = [as_json(outcome) for outcome in select.outcomes(list(select.kept()[:MOST_LISTED]))]
        return Response(one_page(KeptForecastRow(rows, many=True).data))

    @extend_schema(operation_id="kept_forecast", responses=KeptForecastRow)
    def retrieve(self, request: Request, pk: str) -> Response:
        """Returns one kept forecast with its outcome."""
        (outcome,) = select.outcomes([_row(pk)])
        return Response(KeptForecastRow(as_json(outcome)).data)

    @extend_schema(operation_id="forecast_keep", request=KeepForecast, responses={201: KeptForecastRow})
    def create(self, request: Request) -> Response:
        """Forecasts a change and keeps the answer. Nothing is sent to the cluster."""
        given = KeepForecast(data=request.data)
        given.is_valid(raise_exception=True)
        fields = given.validated_data
        with refusals():
            row = service.keep(caller(request), fields["cluster"], fields["changes"], fields["title"], timezone.now())
        (outcome,) = select.outcomes([row])
        return Response(KeptForecastRow(as_json(outcome)).data, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="kept_forecast_remove", responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Removes a kept forecast."""
        with refusals():
            service.remove(caller(request), _row(pk), timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


def _row(pk: str) -> KeptForecast:
    row = select.get_kept(int(pk)) if len(pk) < 19 else None
    if row is None:
        raise Http404(f"Kept forecast {pk[:30]} not found.")
    return row


def as_json(outcome: select.Outcome) -> dict[str, object]:
    row = outcome.row
    return {
        "id": row.pk,
        "cluster": row.cluster.name,
        "title": row.title,
        "by": row.by.username if row.by else None,
        "created_at": row.created_at,
        "changes": row.changes,
        "classes": row.classes,
        "text": outcome.text,
        "counts": outcome.counts,
        "nodes": msgspec.to_builtins(outcome.nodes),
    }
