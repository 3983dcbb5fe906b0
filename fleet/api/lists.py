"""What every list of the API can do: filter, order, page, count its facets, and go out as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict, StreamingHttpResponse
from django_filters import FilterSet
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api import windows
from fleet.api.pagination import CursorPages
from fleet.api.renderers import CSVRenderer, csv_lines
from fleet.selectors.facets import Facet, facets

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


def csv_answer(name: str, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> StreamingHttpResponse:
    """A file of all rows."""
    response = StreamingHttpResponse(csv_lines(rows, columns), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="muster-{name}.csv"'
    return response


def one_page(rows: Any) -> dict[str, Any]:
    """A list that always comes whole."""
    return {"results": rows, "next": None, "previous": None}


def facet_answer(counts: Mapping[str, Mapping[str, int]]) -> Response:
    """Facets that were counted by hand; the most frequent value first."""
    ordered = {name: sorted(found.items(), key=lambda pair: (-pair[1], pair[0])) for name, found in counts.items()}
    told = {name: [{"value": value or "unknown", "count": n} for value, n in found] for name, found in ordered.items()}
    return Response({"facets": told})


class WithCSV:
    """The list goes out as CSV too, its other actions do not: a cell cannot hold what one thing is made of."""

    def get_renderers(self) -> list[BaseRenderer]:
        renderers: list[BaseRenderer] = super().get_renderers()  # type: ignore[misc]  # of the view it is mixed into
        return [*renderers, CSVRenderer()] if self.action == "list" else renderers  # type: ignore[attr-defined]


class ListViewSet(WithCSV, mixins.ListModelMixin, viewsets.GenericViewSet):
    """A list with `orderings`, `default_ordering`, `facet_names` and `csv_columns` (nested keys with dots)."""

    orderings: dict[str, Any] = {}
    default_ordering = "id"
    filterset_class: type[FilterSet]
    facet_names: tuple[str, ...] = ()
    csv_columns: tuple[str, ...] = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if self.action == "retrieve":
            windows.only(request, ())  # one thing takes no parameter: `at` swallowed would give today for the past

    @extend_schema(parameters=[FORMAT])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        if request.accepted_renderer.format != "csv":
            return super().list(request, *args, **kwargs)
        windows.number(request, "limit", 1, 1, CursorPages.max_page_size)  # refused as ever, though all rows come
        # filtered here: what is refused must be so before the first line is on its way
        rows = self._flat(self.filter_queryset(self.get_queryset()))
        return csv_answer(request.path.strip("/").split("/")[-1], rows, self.csv_columns)

    def _flat(self, queryset: QuerySet) -> Iterator[dict[str, Any]]:
        serializer = self.get_serializer()
        for row in queryset.iterator(chunk_size=1_000):
            yield flatten(serializer.to_representation(row))

    @extend_schema(responses=FACETS, operation_id=None)
    @action(detail=False, pagination_class=None, url_path="facets")
    def facets(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Values and counts of this list's facets under the current filter."""
        self.filter_queryset(self.get_queryset())  # refuses unknown or malformed filters, as the list does
        found = self.count_facets(request.query_params)
        return Response({"facets": {f.name: [{"value": v.value, "count": v.count} for v in f.values] for f in found}})

    def count_facets(self, params: QueryDict) -> Sequence[Facet]:
        """The facets of `facet_names`; a list whose filters are more than columns counts them by itself."""
        return facets(self.filterset_class, self.facet_names, params, self.get_queryset())


def flatten(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects as dotted keys; the objects themselves stay under their own key too."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        flat[prefix + key] = value
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
    return flat
