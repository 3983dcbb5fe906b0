"""Facets of the list of nodes. A pool is not a column of a node: it is counted over memberships, with nodes in no pool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db.models import Count, QuerySet
from django.http import QueryDict

from fleet.filters import NodeFilters
from fleet.models import Pool, PoolMembership
from fleet.selectors.facets import Facet, FacetValue, facets

if TYPE_CHECKING:
    from fleet.models import Node

NO_POOL, CLASH = "none", "clash"


def node_facets(names: Sequence[str], params: QueryDict, queryset: QuerySet[Node]) -> list[Facet]:
    """The facets of these names, in order, each under every filter but its own."""
    rows = []
    for name in names:
        rows += [_pools(params, queryset)] if name == "pool" else facets(NodeFilters, [name], params, queryset)
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
