"""The map of the fleet: one tile is one node, in groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import QuerySet

from fleet.domain.evaluation.figures import NodeFigures
from fleet.domain.evaluation.fleet_figures import sum_nodes
from fleet.models import Node, PoolMembership
from fleet.selectors import teams
from fleet.selectors.clusters import stale_cluster_ids
from fleet.selectors.figures import figures_now


@dataclass(frozen=True, slots=True)
class Tile:
    cluster: str
    name: str
    verdict: str
    broken_rung: str
    reason: str
    since: datetime | None
    usable: int
    stale: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Tiles in the order of their names, so that a node keeps its place."""

    name: str
    detail: str
    stale: bool
    usable: int
    expected: int
    tiles: tuple[Tile, ...]
    by_verdict: dict[str, int] = field(default_factory=dict)
    """Number of nodes of each verdict."""


LARGE = 1_500
"""With more tiles, groups are sorted worst first and tiles are small."""
_FIELD = {"cluster": "cluster__name", "product": "product", "mode": "mode"}
NO_POOL = "In no pool"
NO_TEAM = "Used by no team"


def groups(nodes: QuerySet[Node], by: str, now: datetime) -> list[Group]:
    """Every node of `nodes` in its group: by is pool, team, cluster, product or mode. Two queries; three by pool, four by team.

    A node in two pools is in both groups, so that every group is as large as its pool; nodes in no pool come last. The same
    holds of teams, whose nodes are those that their pods hold GPU slots on. Of more nodes than LARGE, the group that misses
    most GPUs comes first.
    """
    stale = stale_cluster_ids(now)
    members: dict[str, list[tuple[Tile, NodeFigures]]] = defaultdict(list)
    rows = nodes.order_by("name").values_list(
        "pk", _FIELD.get(by, "pk"), "cluster_id", "cluster__name", "name", "verdict_reason", "verdict_since"
    )
    figures = figures_now(nodes, with_resources=False)
    several: dict[str, tuple[Callable[[], Mapping[int, Sequence[str]]], str]] = {
        "pool": (_pools, NO_POOL),
        "team": (teams.by_node, NO_TEAM),
    }
    load, rest = several.get(by, (dict, ""))
    slugs = load()
    for pk, key, cluster_id, cluster, node, reason, since in rows:
        tile = tile_of(cluster, node, figures[pk], reason, since, stale=cluster_id in stale)
        for name in slugs.get(key, (rest,)) if rest else (key or "Unknown",):
            members[name].append((tile, figures[pk]))
    result = [group_of(name, members[name], by) for name in sorted(members, key=lambda name: (name == rest, name))]
    if sum(len(group.tiles) for group in result) > LARGE:
        result.sort(key=lambda group: group.usable - group.expected)
    return result


def tile_of(cluster: str, node: str, figures: NodeFigures, reason: str, since: datetime | None, *, stale: bool) -> Tile:
    """Returns one node's tile."""
    return Tile(cluster, node, figures.verdict, figures.broken_rung, reason, since, figures.usable_of_expected, stale)


def _pools() -> dict[int, list[str]]:
    pools: dict[int, list[str]] = defaultdict(list)
    present = PoolMembership.objects.filter(period__endswith__isnull=True, pool__removed_at__isnull=True)
    for node_id, slug in present.order_by().values_list("node_id", "pool__slug"):
        pools[node_id].append(slug)
    return pools


def group_of(name: str, members: list[tuple[Tile, NodeFigures]], by: str) -> Group:
    """Returns the tiles of one group with its sums."""
    products = sorted({figures.product for _, figures in members if figures.product})
    modes = sorted({figures.mode for _, figures in members if figures.mode})
    detail = [*products, *modes] if by in ("pool", "team") else {"cluster": products, "product": modes, "mode": products}[by]
    total = sum_nodes(figures for _, figures in members)
    return Group(
        name=name,
        detail=" · ".join(detail[:3]) + (f" and {len(detail) - 3} more" if len(detail) > 3 else ""),
        stale=all(tile.stale for tile, _ in members),
        usable=total.usable,
        expected=total.expected,
        tiles=tuple(tile for tile, _ in members),
        by_verdict=total.by_verdict,
    )
