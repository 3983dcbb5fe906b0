"""Facets of the list of nodes. A pool is not a column of a node: it is counted over memberships, a team over pods."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db.models import Count, QuerySet
from django.http import QueryDict

from fleet.filters import NodeFilters
from fleet.filters.teams import NO_TEAM
from fleet.models import Pool, PoolMembership, Team
from fleet.selectors import teams
from fleet.selectors.facets import Facet, FacetValue, facets

if TYPE_CHECKING:
    from fleet.models import Node

NO_POOL, CLASH = "none", "clash"


def node_facets(names: Sequence[str], params: QueryDict, queryset: QuerySet[Node]) -> list[Facet]:
    """The facets of these names, in order, each under every filter but its own."""
    rows = []
    for name in names:
        if name == "pool":
            rows.append(_pools(params, queryset))
        elif name == "team":
            rows.append(_teams(params, queryset))
        else:
            rows += facets(NodeFilters, [name], params, queryset)
    return rows


def _pools(params: QueryDict, queryset: QuerySet[Node]) -> Facet:
    """Every pool, and nodes in none or in two that exclude each other, where there are any. Four queries; one without pools."""
    others = params.copy()
    others.pop("pool", None)
    chosen = {part for item in params.getlist("pool") for part in item.split(",") if part}
    counts = dict.fromkeys([*Pool.objects.filter(removed_at__isnull=True).values_list("slug", flat=True), *sorted(chosen)], 0)
    if counts:
        nodes = NodeFilters(others, queryset=queryset).qs.order_by()
        counts |= dict(
            PoolMembership.objects.filter(period__endswith__isnull=True, pool__removed_at__isnull=True, node__in=nodes)
            .order_by()
            .values_list("pool__slug")
            .annotate(n=Count("pk"))
        )
        for odd in (NO_POOL, CLASH):
            others["pool"] = odd
            number = NodeFilters(others, queryset=queryset).qs.order_by().count()
            if number or odd in chosen:
                counts[odd] = number
    ordered = sorted(counts.items(), key=lambda pair: (pair[0] in (NO_POOL, CLASH), -pair[1], pair[0]))
    return Facet("pool", tuple(FacetValue(slug, number, slug in chosen) for slug, number in ordered))


def _teams(params: QueryDict, queryset: QuerySet[Node]) -> Facet:
    """Every team, and nodes that none uses. Three queries; one without teams."""
    others = params.copy()
    others.pop("team", None)
    chosen = {part for item in params.getlist("team") for part in item.split(",") if part}
    counts = dict.fromkeys([*Team.objects.order_by().values_list("slug", flat=True), *sorted(chosen)], 0)
    if counts:
        listed = set(NodeFilters(others, queryset=queryset).qs.order_by().values_list("pk", flat=True))
        used = teams.by_node()
        counts |= Counter(slug for node, slugs in used.items() if node in listed for slug in slugs)
        if (idle := len(listed - used.keys())) or NO_TEAM in chosen:
            counts[NO_TEAM] = idle
    ordered = sorted(counts.items(), key=lambda pair: (pair[0] == NO_TEAM, -pair[1], pair[0]))
    return Facet("team", tuple(FacetValue(slug, number, slug in chosen) for slug, number in ordered))
