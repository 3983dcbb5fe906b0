"""Topology over the stored fleet, for page and API."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from fleet.domain.topology.levels import domain_of, levels
from fleet.domain.topology.node_groups import NodeGroup, NodeGroups, find_groups, request_of
from fleet.domain.topology.tiles import Rack, racks
from fleet.selectors.placement import headroom as rooms
from fleet.selectors.placement.explain import cluster_views
from fleet.selectors.placement.stranded import free_nodes


@dataclass(frozen=True, slots=True)
class LevelCount:
    """How many nodes a level is known of, and by which labels."""

    id: str
    title: str
    nodes: int
    domains: int
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """Every node in its rack."""

    racks: tuple[Rack, ...]
    levels: tuple[LevelCount, ...]
    nodes: int
    as_of: datetime | None


def picture(now: datetime, cluster: str = "") -> Picture:
    """Returns zones, blocks and racks with their nodes, of one cluster or of all."""
    stock = rooms.stock(now)
    nodes = [node for node in stock.fleet.nodes if cluster in ("", node.cluster)]
    counts = []
    for level in levels():
        known = [domain for node in nodes if (domain := domain_of(level.id, node.cluster, node.labels))]
        keys = tuple(dict.fromkeys(domain.key for domain in known))
        counts.append(LevelCount(level.id, level.title, len(known), len(set(known)), keys))
    free = free_nodes(cluster_views(now, cluster))
    return Picture(tuple(racks(nodes, free)), tuple(counts), len(nodes), stock.as_of)


def groups(now: datetime, gpus: int, shape: str, product: str = "", cluster: str = "") -> tuple[NodeGroups, datetime | None]:
    """Returns the groups of nodes that hold so many free whole GPUs in a shape, and the moment of the oldest data."""
    return find_groups(free_nodes(cluster_views(now, cluster)), gpus, shape, product), rooms.stock(now).as_of


def products(now: datetime) -> list[str]:
    """Returns the products of the fleet, sorted."""
    return sorted({node.product for node in rooms.stock(now).fleet.nodes if node.product})


def group_json(group: NodeGroup) -> dict[str, object]:
    """Returns one group as the API gives it."""
    return {
        "cluster": group.cluster,
        "shape": group.shape,
        "domain": group.domain.value if group.domain else None,
        "label": group.domain.key if group.domain else None,
        "product": group.nodes[0].node.product or None,
        "gpus": group.gpus,
        "gpus_per_node": group.gpus_per_node,
        "nodes": [{"cluster": node.node.cluster, "name": node.node.name, "free_gpus": node.gpus} for node in group.nodes],
        "loses": [{"id": loss.id, "text": loss.text} for loss in group.loses],
        "taints": [str(taint) for taint in group.taints],
        "request": request_of(group) or None,
    }


def racks_json(rows: Iterable[Rack]) -> list[dict[str, object]]:
    return [
        {
            "cluster": rack.cluster,
            "zone": rack.zone or None,
            "block": rack.block or None,
            "rack": rack.rack or None,
            "free_gpus": rack.free,
            "nodes": [
                {
                    "name": tile.node.name,
                    "verdict": tile.node.verdict,
                    "product": tile.node.product or None,
                    "nvlink_domain": tile.nvlink_domain or None,
                    "gpus": tile.gpus,
                    "free_gpus": tile.free,
                }
                for tile in rack.tiles
            ],
        }
        for rack in rows
    ]
