"""Pages by cursor: stable while rows come and go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DataError, transaction
from django.db.models import Model, QuerySet
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.protocol import windows

if TYPE_CHECKING:
    from rest_framework.views import APIView

Row = TypeVar("Row")


class CursorPages(CursorPagination):
    """`limit` up to 1,000 (100 by default), `cursor` from `next` and `previous`."""

    page_size = 100
    page_size_query_param = "limit"
    max_page_size = 1_000
    offset_cutoff = 1_000_000  # thousands of nodes may share one product: the offset within equals must reach all of them
    cursor_query_description = "Cursor of the page, from `next` or `previous`."
    page_size_query_description = "Rows a page, 1 to 1,000."

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, dict[str, object]]]:
        parameters: list[dict[str, dict[str, object]]] = super().get_schema_operation_parameters(view)
        for parameter in parameters:
            if parameter["name"] == self.page_size_query_param:
                parameter["schema"] |= {"minimum": 1, "maximum": self.max_page_size}
        return parameters

    def get_page_size(self, request: Request) -> int:
        """Refuses a page size above the limit: a caller that got fewer rows would think they were all."""
        return windows.number(request, "limit", self.page_size, 1, self.max_page_size)

    def paginate_queryset(
        self, queryset: QuerySet[Model, Row] | Sequence[Row], request: Request, view: APIView | None = None
    ) -> list[Row] | None:
        if self.cursor_query_param not in request.query_params:
            return super().paginate_queryset(queryset, request, view)
        try:
            with transaction.atomic():  # an invalid position fails in Postgres at the latest
                return super().paginate_queryset(queryset, request, view)
        except (NotFound, ValueError, TypeError, OverflowError, DataError, DjangoValidationError) as error:
            raise ValidationError({"cursor": ["Invalid cursor. Use the `next` or `previous` URL of a page."]}) from error

    def get_ordering(self, request: Request, queryset: QuerySet[Model], view: APIView) -> tuple[str, ...]:
        return tuple(map(str, queryset.query.order_by)) or ("id",)

    def get_paginated_response(self, data: object) -> Response:
        return Response({"results": data, "next": self.get_next_link(), "previous": self.get_previous_link()})

    def get_paginated_response_schema(self, schema: dict[str, object]) -> dict[str, object]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["results", "next", "previous"],
            "properties": {"results": schema, "next": link, "previous": link},
        }
