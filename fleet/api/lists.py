"""What every list of the API can do: filter, order, page, count its facets, and go out as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.http import QueryDict, StreamingHttpResponse
from django_filters import FilterSet
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.renderers import csv_lines
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


class ListViewSet(mixins.ListModelMixin, viewsets.GenericViewSet):
    """A list with `orderings`, `default_ordering`, `facet_names` and `csv_columns` (nested keys with dots)."""

    orderings: dict[str, Any] = {}
    default_ordering = "id"
    filterset_class: type[FilterSet]
    facet_names: tuple[str, ...] = ()
    csv_columns: tuple[str, ...] = ()

    @extend_schema(
        parameters=[OpenApiParameter("format", str, enum=["json", "csv"], description="csv gives every row, unpaged.")]
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        if request.accepted_renderer.format != "csv":
            return super().list(request, *args, **kwargs)
        lines = csv_lines(self._all_rows(), self.csv_columns)
        name = request.path.strip("/").split("/")[-1]
        response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="muster-{name}.csv"'
        return response

    def _all_rows(self) -> Iterator[dict[str, Any]]:
        queryset = self.filter_queryset(self.get_queryset())
        serializer = self.get_serializer()
        for row in queryset.iterator(chunk_size=1_000):
            yield flatten(serializer.to_representation(row))

    @extend_schema(responses=FACETS, operation_id=None)
    @action(detail=False, pagination_class=None, url_path="facets")
    def facets(self, request: Request) -> Response:
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
