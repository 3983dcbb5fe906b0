"""Nodes by team: a team uses a node while pods of its namespaces hold GPU slots there."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Q, QuerySet

from fleet.models import Pod, Team

NO_TEAM = "none"


def nodes_in_use(namespaces: Collection[str]) -> QuerySet[Pod, int | None]:
    """Returns a subquery of the ids of nodes on which pods of these namespaces hold GPU slots now."""
    holders = Pod.objects.filter(node__isnull=False, removed_at__isnull=True, holds=True, namespace__in=sorted(namespaces))
    return holders.order_by().values_list("node", flat=True)


def used_by(teams: Collection[str]) -> Q:
    """Returns the condition that one of these teams uses a node; `none`: that no team does."""
    namespaces: dict[str, list[str]] = dict(Team.objects.order_by().values_list("slug", "namespaces"))
    query = Q(pk__in=nodes_in_use({name for slug in teams for name in namespaces.get(slug, ())}))
    if NO_TEAM in teams:
        query |= ~Q(pk__in=nodes_in_use({name for names in namespaces.values() for name in names}))
    return query
