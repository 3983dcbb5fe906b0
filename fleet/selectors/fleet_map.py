"""The map of the fleet: one tile is one node, in groups."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from fleet.models import Node
from fleet.selectors.clusters import stale_cluster_ids


@dataclass(frozen=True, slots=True)
class Tile:
    cluster: str
    name: str
    state: str
    reason: str
    stale: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Tiles in the order of their names, so that a node keeps its place."""

    name: str
    detail: str
    stale: bool
    offered: int
    expected: int
    tiles: tuple[Tile, ...]


_FIELD = {"cluster": "cluster__name", "product": "product", "mode": "mode"}


def groups(nodes: QuerySet[Node], by: str, now: datetime) -> list[Group]:
    """Every node of `nodes` in its group: by is cluster, product or mode. Two queries."""
    stale = stale_cluster_ids(now)
    members: dict[str, list[tuple]] = defaultdict(list)
    rows = nodes.order_by("name").values_list(
        _FIELD[by], "cluster_id", "cluster__name", "name", "state", "reason", "product", "mode", "offered", "expected",
        "physical",
    )  # fmt: skip
    for key, *row in rows:
        members[key or "Unknown"].append(tuple(row))
    return [_group(name, members[name], by, stale) for name in sorted(members)]


def _group(name: str, rows: list[tuple], by: str, stale: frozenset[int]) -> Group:
    tiles = tuple(Tile(cluster, node, state, reason, pk in stale) for pk, cluster, node, state, reason, *_ in rows)
    products = sorted({row[5] for row in rows if row[5]})
    modes = sorted({row[6] for row in rows if row[6]})
    detail = {"cluster": products, "product": modes, "mode": products}[by]
    expected = [max(row[8] or 0, row[9] or 0) for row in rows]
    return Group(
        name=name,
        detail=" · ".join(detail[:3]) + (f" and {len(detail) - 3} more" if len(detail) > 3 else ""),
        stale=bool(tiles) and all(tile.stale for tile in tiles),
        offered=sum(min(row[7] or 0, most) for row, most in zip(rows, expected, strict=True)),
        expected=sum(expected),
        tiles=tiles,
    )
