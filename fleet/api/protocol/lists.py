"""Lists of the API: filters, orders, pages, facets, and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

from django.db.models import Model, QuerySet
from django.http import QueryDict, StreamingHttpResponse
from django_filters import FilterSet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_serializer, inline_serializer
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.protocol import windows
from fleet.api.protocol.authentication import caller
from fleet.api.protocol.pagination import CursorPages
from fleet.api.protocol.renderers import CSVRenderer, csv_lines
from fleet.selectors.facets import Facet, facets
from fleet.services.audit import audit

Row = TypeVar("Row", bound=Model)

FACETS = inline_serializer(
    "Facets",
    {
        "facets": serializers.DictField(
            child=serializers.ListField(
                child=inline_serializer("FacetValue", {"value": serializers.CharField(), "count": serializers.IntegerField()})
            )
        )
    },
)


FORMAT = OpenApiParameter("format", str, enum=["json", "csv"], description="csv gives every row, unpaged.")


def csv_answer(
    request: Request, name: str, rows: Iterable[Mapping[str, object]], columns: Sequence[str]
) -> StreamingHttpResponse:
    """A file of all rows. User, list and filters are recorded in the audit log."""
    audit(caller(request), "export.csv", name, detail={"filters": request.query_params.urlencode()})
    response = StreamingHttpResponse(csv_lines(rows, columns), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="muster-{name}.csv"'
    return response


def one_page(rows: object) -> dict[str, object]:
    """A list that is always complete."""
    return {"results": rows, "next": None, "previous": None}


def whole_list(name: str, rows: serializers.BaseSerializer) -> serializers.Serializer:
    """The schema of `one_page`; `name` is that of the component."""
    fields = {"results": rows, "next": serializers.CharField(allow_null=True), "previous": serializers.CharField(allow_null=True)}
    # without this a view named list would be described as a bare array
    return extend_schema_serializer(many=False)(inline_serializer(name, fields).__class__)()


def facet_answer(counts: Mapping[str, Mapping[str, int]]) -> Response:
    """Facets that the view counted itself; the most frequent value first."""
    ordered = {name: sorted(count.items(), key=lambda pair: (-pair[1], pair[0])) for name, count in counts.items()}
    fields = {name: [{"value": value or "unknown", "count": n} for value, n in rows] for name, rows in ordered.items()}
    return Response({"facets": fields})


class WithCSV:
    """Only the list has CSV: a nested object does not fit in a cell."""

    def get_renderers(self) -> list[BaseRenderer]:
        renderers: list[BaseRenderer] = super().get_renderers()  # type: ignore[misc]  # of the view it is mixed into
        return [*renderers, CSVRenderer()] if self.action == "list" else renderers  # type: ignore[attr-defined]


class ListViewSet(WithCSV, viewsets.GenericViewSet[Row]):
    """A list with `orderings`, `default_ordering`, `facet_names` and `csv_columns` (nested keys with dots).

    `shown` turns the rows of a page, or of a part of the CSV, into what the serializer takes.
    """

    orderings: dict[str, object] = {}
    default_ordering = "id"
    filterset_class: type[FilterSet]
    facet_names: tuple[str, ...] = ()
    csv_columns: tuple[str, ...] = ()

    def initial(self, request: Request, *args: object, **kwargs: str) -> None:
        super().initial(request, *args, **kwargs)
        if self.action == "retrieve":
            windows.only(request, ())  # a single object takes no parameters: ignoring `at` would return the present

    def shown(self, rows: Sequence[Row]) -> Sequence[object]:
        return rows

    @extend_schema(parameters=[FORMAT])
    def list(self, request: Request, *args: object, **kwargs: str) -> Response | StreamingHttpResponse:
        if request.accepted_renderer.format != "csv":
            return self.page(self.filter_queryset(self.get_queryset()))
        windows.number(request, "limit", 1, 1, CursorPages.max_page_size)  # still refused, although all rows are returned
        # filtered here: a refusal must come before the first line is sent
        rows = self._flat(self.filter_queryset(self.get_queryset()))
        return csv_answer(request, request.path.strip("/").split("/")[-1], rows, self.csv_columns)

    def page(self, rows: QuerySet[Row]) -> Response:
        """Returns the page of the rows that the request asks for."""
        return self.get_paginated_response(self.get_serializer(self.shown(self.paginate_queryset(rows) or ()), many=True).data)

    def _flat(self, queryset: QuerySet[Row]) -> Iterator[dict[str, object]]:
        for rows in batched(queryset.iterator(chunk_size=1_000), 1_000):
            for row in self.get_serializer(self.shown(rows), many=True).data:
                yield flatten(row)

    @extend_schema(responses=FACETS, operation_id=None)
    @action(detail=False, pagination_class=None, url_path="facets")
    def facets(self, request: Request, *args: object, **kwargs: str) -> Response:
        """Values and counts of this list's facets under the current filter."""
        self.filter_queryset(self.get_queryset())  # refuses unknown or malformed filters, as the list does
        result = self.count_facets(request.query_params)
        return Response({"facets": {f.name: [{"value": v.value, "count": v.count} for v in f.values] for f in result}})

    def count_facets(self, params: QueryDict) -> Sequence[Facet]:
        """The facets of `facet_names`; lists with filters other than columns override it."""
        return facets(self.filterset_class, self.facet_names, params, self.get_queryset())


def batched(rows: Iterable[Row], size: int) -> Iterator[Sequence[Row]]:
    """Yields the rows in lists of at most `size`."""
    left = iter(rows)
    while batch := list(islice(left, size)):
        yield batch


def flatten(row: dict[str, object], prefix: str = "") -> dict[str, object]:
    """Nested objects as dotted keys; the objects themselves stay under their own key too."""
    flat: dict[str, object] = {}
    for key, value in row.items():
        flat[prefix + key] = value
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
    return flat
