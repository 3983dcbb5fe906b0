"""Facets: the values of a list and how many rows have each, under the current filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, QuerySet
from django.http import QueryDict
from django_filters import FilterSet


@dataclass(frozen=True, slots=True)
class FacetValue:
    value: str
    """As the filter takes it; `unknown` if empty."""
    count: int
    chosen: bool


@dataclass(frozen=True, slots=True)
class Facet:
    name: str
    values: tuple[FacetValue, ...]


def facets(filterset: type[FilterSet], names: Sequence[str], params: QueryDict, queryset: QuerySet) -> list[Facet]:
    """One facet for each name, in two queries each at most.

    A facet counts under every filter but its own, so that a second value can be added to the first. Values without rows
    under the current filter stay, with 0, so that the list does not change while it is used.
    """
    results = []
    everything = filterset({}, queryset=queryset).qs.order_by()
    for name in names:
        field = filterset.base_filters[name].field_name
        others = params.copy()
        others.pop(name, None)
        counted = dict(
            filterset(others, queryset=queryset).qs.order_by().values_list(field).annotate(rows=Count("pk", distinct=True))
        )
        chosen = set(_chosen(params, name))
        values = {_word(value): 0 for (value,) in everything.values_list(field).distinct()}
        values |= dict.fromkeys(chosen, 0)
        for value, rows in counted.items():
            values[_word(value)] = values.get(_word(value), 0) + rows
        ordered = sorted(values.items(), key=lambda pair: (-pair[1], pair[0]))
        results.append(Facet(name, tuple(FacetValue(value, rows, value in chosen) for value, rows in ordered)))
    return results


def _chosen(params: QueryDict, name: str) -> list[str]:
    return [item for item in params.getlist(name) if item]


def _word(value: object) -> str:
    if value is None or value == "":
        return "unknown"
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)
