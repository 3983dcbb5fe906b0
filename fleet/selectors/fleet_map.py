"""The map of the fleet: one tile is one node, in groups."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from fleet.models import Node, PoolMembership
from fleet.selectors.clusters import stale_cluster_ids


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


_FIELD = {"cluster": "cluster__name", "product": "product", "mode": "mode"}
NO_POOL = "In no pool"


def groups(nodes: QuerySet[Node], by: str, now: datetime) -> list[Group]:
    """Every node of `nodes` in its group: by is pool, cluster, product or mode. Two queries; three by pool.

    A node in two pools stands in both, so that every group is as large as its pool; nodes in no pool come last.
    """
    stale = stale_cluster_ids(now)
    members: dict[str, list[tuple]] = defaultdict(list)
    rows = nodes.order_by("name").values_list(
        _FIELD.get(by, "pk"), "cluster_id", "cluster__name", "name", "verdict", "broken_rung", "verdict_reason",
        "verdict_since", "product", "mode", "usable", "expected", "physical",
    )  # fmt: skip
    slugs = _pools() if by == "pool" else {}
    for key, *row in rows:
        for name in slugs.get(key, (NO_POOL,)) if by == "pool" else (key or "Unknown",):
            members[name].append(tuple(row))
    return [_group(name, members[name], by, stale) for name in sorted(members, key=lambda name: (name == NO_POOL, name))]


def _pools() -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    present = PoolMembership.objects.filter(period__endswith__isnull=True, pool__removed_at__isnull=True)
    for node_id, slug in present.order_by().values_list("node_id", "pool__slug"):
        found[node_id].append(slug)
    return found


def _group(name: str, rows: list[tuple], by: str, stale: frozenset[int]) -> Group:
    tiles, products, modes, expected_total = [], set(), set(), 0
    for pk, cluster, node, verdict, rung, reason, since, product, mode, usable, expected, physical in rows:
        most = max(expected or 0, physical or 0)
        tiles.append(Tile(cluster, node, verdict, rung, reason, since, min(usable or 0, most), pk in stale))
        products.add(product)
        modes.add(mode)
        expected_total += most
    told = [*sorted(filter(None, products)), *sorted(filter(None, modes))]
    detail = told if by == "pool" else sorted(filter(None, {"cluster": products, "product": modes, "mode": products}[by]))
    return Group(
        name=name,
        detail=" · ".join(detail[:3]) + (f" and {len(detail) - 3} more" if len(detail) > 3 else ""),
        stale=bool(tiles) and all(tile.stale for tile in tiles),
        usable=sum(tile.usable for tile in tiles),
        expected=expected_total,
        tiles=tuple(tiles),
    )
