"""Which team a workload belongs to: that of its namespace."""

from __future__ import annotations

from collections import defaultdict

from fleet.filters.teams import nodes_in_use
from fleet.models import Team


def by_namespace() -> dict[str, str]:
    """Returns namespace to the slug of its team. One query."""
    rows = Team.objects.order_by("slug").values_list("slug", "namespaces")
    return {namespace: slug for slug, namespaces in rows for namespace in namespaces}


def by_node() -> dict[int, list[str]]:
    """Returns the id of each node that teams use to their slugs, in order. Two queries; one without teams."""
    teams = by_namespace()
    used: dict[int, set[str]] = defaultdict(set)
    if teams:
        for node, namespace in nodes_in_use(teams).values_list("node", "namespace").distinct():
            if node is not None:
                used[node].add(teams[namespace])
    return {node: sorted(slugs) for node, slugs in used.items()}


def any_team() -> bool:
    return Team.objects.exists()
