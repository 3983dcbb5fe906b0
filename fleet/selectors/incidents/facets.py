"""Facets of the list of incidents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from django.db.models import Count, Q, QuerySet
from django.http import QueryDict

from fleet.filters import FINDING_STATUSES, IncidentFilters
from fleet.models import FindingRow
from fleet.selectors import declarations
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

    `picked` are the filters that the user set, where `params` contains others as well. Facets without a chosen value count
    the same incidents: those are looked up once.
    """
    listed = _Listed()
    return [_facet(name, params, params if picked is None else picked, listed) for name in names]


class _Listed:
    """Incidents under some filters, each set of filters looked up once."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[int, str]] = {}

    def severities(self, params: QueryDict) -> dict[int, str]:
        """Returns the incidents' ids with their worst severity."""
        key = params.urlencode()
        if key not in self._kept:
            self._kept[key] = dict(_found(params).order_by().values_list("pk", "worst_severity"))
        return self._kept[key]


def _facet(name: str, params: QueryDict, picked: QueryDict, listed: _Listed) -> Facet:
    chosen = [part for item in picked.getlist(name) for part in item.split(",") if part]
    others = params.copy()
    others.pop(name, None)
    if name == "status":
        values = []
        for status in FINDING_STATUSES:
            others[name] = status
            values.append(FacetValue(status, _found(others).count(), status in chosen))
        return Facet(name, tuple(values))
    if name == "severity":
        counts = Counter(listed.severities(others).values())
        return Facet(name, tuple(FacetValue(word, counts[word], word in chosen) for word in WORST_FIRST))
    ids = list(listed.severities(others))
    counts = Counter(_of_classes(ids) if name == "workload_class" else dict(_counts(name, ids)))
    words = sorted({*counts, *chosen}, key=lambda word: (-counts[word], word))
    return Facet(name, tuple(FacetValue(word, counts[word], word in chosen) for word in words[:_MOST_VALUES]))


def _found(params: QueryDict) -> NamedIncidents:
    return IncidentFilters(params, queryset=incidents()).qs


def _counts(name: str, ids: Collection[int]) -> list[tuple[str, int]]:
    members = FindingRow.objects.filter(incident__in=ids).order_by()
    if name == "pool":
        rows = _in_pools(members).values_list("node__memberships__pool__slug")
    else:
        rows = members.exclude(Q(**{_OF_FINDINGS[name]: ""}) | Q(**{f"{_OF_FINDINGS[name]}__isnull": True})).values_list(
            _OF_FINDINGS[name]
        )
    return [(value, count) for value, count in rows.annotate(n=Count("incident", distinct=True)) if value]


def _of_classes(ids: Collection[int]) -> dict[str, int]:
    """Returns workload class to the number of incidents with a node in one of its pools."""
    pools: dict[str, set[str]] = {
        slug: set(declarations.spec_of(version).pools) for slug, version in declarations.newest_versions().items()
    }
    members = _in_pools(FindingRow.objects.filter(incident__in=ids).order_by())
    pairs = set(members.values_list("incident", "node__memberships__pool__slug"))
    counts = {slug: len({incident for incident, pool in pairs if pool in wanted}) for slug, wanted in pools.items()}
    return {slug: count for slug, count in counts.items() if count}


def _in_pools(members: QuerySet[FindingRow]) -> QuerySet[FindingRow]:
    return members.filter(node__memberships__period__endswith__isnull=True, node__memberships__pool__isnull=False)
