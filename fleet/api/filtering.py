"""Filters and orders: what a view offers stands in its `filterset_class` and `orderings`."""

from __future__ import annotations

from typing import Any

from django.db.models import Expression, F, QuerySet, Value
from django.db.models.functions import Coalesce
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError
from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request

_OWN = {"limit", "cursor", "ordering", "format"}


class FilterSets(DjangoFilterBackend):
    """The FilterSet of the view. A parameter that nobody knows is an error: a misspelt filter must not show everything."""

    def filter_queryset(self, request: Request, queryset: QuerySet, view: Any) -> QuerySet:
        filterset_class = getattr(view, "filterset_class", None)
        known = set(filterset_class.base_filters) if filterset_class else set()
        unknown = sorted(set(request.query_params) - known - _OWN)
        if unknown:
            known_words = ", ".join(sorted(known)) or "none"
            raise ValidationError({name: [f"There is no such filter. Filters here: {known_words}."] for name in unknown})
        return super().filter_queryset(request, queryset, view)


class Ordering(BaseFilterBackend):
    """`ordering=name` or `ordering=-free`: names of the view's `orderings`, each a field or an expression.

    A cursor compares values, and null compares with nothing: an ordering over a field that may be null names the value
    that stands in for it.
    """

    def filter_queryset(self, request: Request, queryset: QuerySet, view: Any) -> QuerySet:
        orderings: dict[str, str | tuple[str, Any]] = getattr(view, "orderings", {})
        wanted = str(request.query_params.get("ordering") or getattr(view, "default_ordering", "id"))
        name = wanted.removeprefix("-")
        if name not in orderings and name != "id":
            raise ValidationError({"ordering": [f"Cannot order by {name!r}. Choose from {', '.join(sorted(orderings))}."]})
        sign = "-" if wanted.startswith("-") else ""
        if name == "id":
            return queryset.order_by(sign + "id")
        target = orderings[name]
        expression: Expression | F = Coalesce(target[0], Value(target[1])) if isinstance(target, tuple) else F(target)
        return queryset.annotate(sort_key=expression).order_by(sign + "sort_key", sign + "id")

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        names = sorted(getattr(view, "orderings", {}))
        if not names:
            return []
        values = [value for name in names for value in (name, f"-{name}")]
        return [
            {
                "name": "ordering",
                "in": "query",
                "required": False,
                "description": "Which field to sort by; a minus sign turns it round.",
                "schema": {"type": "string", "enum": values},
            }
        ]
