"""Filters and orders of list views, from their `filterset_class` and `orderings`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Expression, F, QuerySet, TextField, Value
from django.db.models.functions import Coalesce
from django_filters import FilterSet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError
from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request

from fleet.filters.fields import YesNo

if TYPE_CHECKING:
    from rest_framework.views import APIView

_OWN = {"limit", "cursor", "ordering", "format"}


class FilterSets(DjangoFilterBackend):
    """Applies the FilterSet of the view. An unknown parameter is an error: a misspelt filter must not return every row."""

    def filter_queryset(self, request: Request, queryset: QuerySet, view: APIView) -> QuerySet:
        filterset_class = getattr(view, "filterset_class", None)
        known = set(filterset_class.base_filters) if filterset_class else set()
        unknown = sorted(set(request.query_params) - known - _OWN)
        if unknown:
            known_words = ", ".join(sorted(known)) or "none"
            raise ValidationError({name: [f"Unknown filter. Available filters: {known_words}."] for name in unknown})
        if empty := [name for name in request.query_params if name in known and _is_closed(filterset_class, name) and not
                     all(request.query_params.getlist(name))]:  # fmt: skip
            raise ValidationError({name: ["Give one of the values, or leave the filter out."] for name in empty})
        filterset = self.get_filterset(request, queryset, view)
        if filterset is None:
            return queryset
        if not filterset.is_valid():
            # Not django-filter's own translation: it fills placeholders of a sentence that quotes a value with "%".
            raise ValidationError(
                {
                    name: [text for error in errors for text in error.messages]
                    for name, errors in filterset.errors.as_data().items()
                }
            )
        return filterset.qs


def _is_closed(filterset_class: type[FilterSet] | None, name: str) -> bool:
    """Whether a filter has a closed set of values, which the schema lists: empty text is not one of them."""
    if filterset_class is None:
        return False
    if isinstance(filterset_class.base_filters[name], YesNo):
        return True
    field = filterset_class._meta.model._meta
    column = filterset_class.base_filters[name].field_name
    return any(item.name == column and bool(getattr(item, "choices", None)) for item in field.get_fields())


def _with_default(field: str, default: object) -> Expression:
    """A field with a value in place of null. Text names its type: columns have two kinds of it, which do not mix."""
    return Coalesce(field, Value(default), **({"output_field": TextField()} if isinstance(default, str) else {}))


class Ordering(BaseFilterBackend):
    """`ordering=name` or `ordering=-free`: names of the view's `orderings`, each a field or an expression.

    A cursor compares values, and null compares with nothing: an ordering over a field that may be null names the value
    that stands in for it.
    """

    def filter_queryset(self, request: Request, queryset: QuerySet, view: APIView) -> QuerySet:
        orderings: dict[str, str | tuple[str, object]] = getattr(view, "orderings", {})
        wanted = str(request.query_params.get("ordering", getattr(view, "default_ordering", "id")))
        name = wanted.removeprefix("-")
        if name not in orderings and name != "id":
            raise ValidationError({"ordering": [f"Cannot order by {name!r}. Choose from {', '.join(sorted(orderings))}."]})
        sign = "-" if wanted.startswith("-") else ""
        key = sign + queryset.model._meta.pk.name
        if name == "id":
            return queryset.order_by(key)
        target = orderings[name]
        expression: Expression | F = _with_default(*target) if isinstance(target, tuple) else F(target)
        return queryset.annotate(sort_key=expression).order_by(sign + "sort_key", key)

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, object]]:
        names = sorted(getattr(view, "orderings", {}))
        if not names:
            return []
        values = [value for name in names for value in (name, f"-{name}")]
        return [
            {
                "name": "ordering",
                "in": "query",
                "required": False,
                "description": "Field to sort by; a leading minus sorts in descending order.",
                "schema": {"type": "string", "enum": values},
            }
        ]
