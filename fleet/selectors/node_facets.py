"""Facets of the list of nodes. A pool is no column of a node: it is counted over memberships, with those that are in none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Count, QuerySet
from django.http import QueryDict

from fleet.filters import NodeFilters
from fleet.models import Pool, PoolMembership
from fleet.selectors.facets import Facet, FacetValue, facets

NO_POOL, CLASH = "none", "clash"


def node_facets(names: Sequence[str], params: QueryDict, queryset: QuerySet[Any]) -> list[Facet]:
    """The facets of these names, in order, each under every filter but its own."""
    found = []
    for name in names:
        found += [_pools(params, queryset)] if name == "pool" else facets(NodeFilters, [name], params, queryset)
    return found


def _pools(params: QueryDict, queryset: QuerySet[Any]) -> Facet:
    """Every pool, and nodes in none or in two that exclude each other, where there are any. Four queries; one without pools."""
    others = params.copy()
    others.pop("pool", None)
    chosen = {part for one in params.getlist("pool") for part in one.split(",") if part}
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
