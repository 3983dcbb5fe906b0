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


def groups(nodes: QuerySet[Node], by: str, now: datetime) -> list[Group]:
    """Every node of `nodes` in its group: by is cluster, product or mode. Two queries."""
    stale = stale_cluster_ids(now)
    members: dict[str, list[tuple]] = defaultdict(list)
    rows = nodes.order_by("name").values_list(
        _FIELD[by], "cluster_id", "cluster__name", "name", "verdict", "broken_rung", "verdict_reason", "verdict_since", "product",
        "mode", "usable", "expected", "physical",
    )  # fmt: skip
    for key, *row in rows:
        members[key or "Unknown"].append(tuple(row))
    return [_group(name, members[name], by, stale) for name in sorted(members)]


def _group(name: str, rows: list[tuple], by: str, stale: frozenset[int]) -> Group:
    tiles, products, modes, expected_total = [], set(), set(), 0
    for pk, cluster, node, verdict, rung, reason, since, product, mode, usable, expected, physical in rows:
        most = max(expected or 0, physical or 0)
        tiles.append(Tile(cluster, node, verdict, rung, reason, since, min(usable or 0, most), pk in stale))
        products.add(product)
        modes.add(mode)
        expected_total += most
    detail = sorted(filter(None, {"cluster": products, "product": modes, "mode": products}[by]))
    return Group(
        name=name,
        detail=" · ".join(detail[:3]) + (f" and {len(detail) - 3} more" if len(detail) > 3 else ""),
        stale=bool(tiles) and all(tile.stale for tile in tiles),
        usable=sum(tile.usable for tile in tiles),
        expected=expected_total,
        tiles=tuple(tiles),
    )
