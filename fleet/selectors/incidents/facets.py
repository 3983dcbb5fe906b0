"""Facets of the list of incidents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Q, QuerySet
from django.http import QueryDict

from fleet.filters import FINDING_STATUSES, IncidentFilters
from fleet.models import FindingRow
from fleet.selectors.facets import Facet, FacetValue
from fleet.selectors.findings.findings import WORST_FIRST
from fleet.selectors.incidents.incidents import incidents

if TYPE_CHECKING:
    from fleet.selectors.incidents.incidents import NamedIncidents

_OF_FINDINGS = {
    "cluster": "cluster__name",
    "rule": "rule",
    "rung": "rung",
    "subject": "subject",
    "product": "node__product",
}
_MOST_VALUES = 200


def incident_facets(names: Sequence[str], params: QueryDict, picked: QueryDict | None = None) -> list[Facet]:
    """Returns one facet for each name: how many incidents have each value, under every filter but the facet's own.

    `picked` are the filters that the user set, where `params` contains others as well.
    """
    return [_facet(name, params, params if picked is None else picked) for name in names]


def _facet(name: str, params: QueryDict, picked: QueryDict) -> Facet:
    chosen = [part for item in picked.getlist(name) for part in item.split(",") if part]
    others = params.copy()
    others.pop(name, None)
    if name == "status":
        values = []
        for status in FINDING_STATUSES:
            others[name] = status
            values.append(FacetValue(status, _found(others).count(), status in chosen))
        return Facet(name, tuple(values))
    listed = _found(others)
    if name == "severity":
        counts = dict(listed.order_by().values_list("worst_severity").annotate(rows=Count("pk")))
        return Facet(name, tuple(FacetValue(word, counts.get(word, 0), word in chosen) for word in WORST_FIRST))
    counts = dict(_counts(name, listed.order_by().values("pk")))
    words = sorted({*counts, *chosen}, key=lambda word: (-counts.get(word, 0), word))
    return Facet(name, tuple(FacetValue(word, counts.get(word, 0), word in chosen) for word in words[:_MOST_VALUES]))


def _found(params: QueryDict) -> NamedIncidents:
    return IncidentFilters(params, queryset=incidents()).qs


def _counts(name: str, ids: QuerySet[Any]) -> list[tuple[str, int]]:
    members = FindingRow.objects.filter(incident__in=ids).order_by()
    if name == "pool":
        current = members.filter(node__memberships__period__endswith__isnull=True)
        rows = current.exclude(node__memberships__pool__isnull=True).values_list("node__memberships__pool__slug")
    else:
        rows = members.exclude(Q(**{_OF_FINDINGS[name]: ""}) | Q(**{f"{_OF_FINDINGS[name]}__isnull": True})).values_list(
            _OF_FINDINGS[name]
        )
    return [(value, count) for value, count in rows.annotate(n=Count("incident", distinct=True)) if value]
