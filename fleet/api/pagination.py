"""Pages by cursor: stable while rows come and go."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DataError, transaction
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api import windows


class CursorPages(CursorPagination):
    """`limit` up to 1,000 (100 by default), `cursor` from `next` and `previous`."""

    page_size = 100
    page_size_query_param = "limit"
    max_page_size = 1_000
    offset_cutoff = 1_000_000  # thousands of nodes may share one product: the offset within equals must reach all of them
    cursor_query_description = "Where the page begins: taken from `next` or `previous`, never made up."
    page_size_query_description = "Rows a page, 1 to 1,000."

    def get_page_size(self, request: Request) -> int:
        """Refused rather than bent: who asks for 5,000 rows and gets 1,000 takes them for all there are."""
        return windows.number(request, "limit", self.page_size, 1, self.max_page_size)

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> Any:
        if self.cursor_query_param not in request.query_params:
            return super().paginate_queryset(queryset, request, view)
        try:
            with transaction.atomic():  # a position that is no value fails in Postgres, at the latest
                return super().paginate_queryset(queryset, request, view)
        except (NotFound, ValueError, TypeError, OverflowError, DataError, DjangoValidationError) as error:
            raise ValidationError({"cursor": ["Take it from `next` or `previous` of a page."]}) from error

    def get_ordering(self, request: Any, queryset: Any, view: Any) -> tuple[str, ...]:
        return tuple(queryset.query.order_by) or ("id",)

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"results": data, "next": self.get_next_link(), "previous": self.get_previous_link()})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["results", "next", "previous"],
            "properties": {"results": schema, "next": link, "previous": link},
        }
