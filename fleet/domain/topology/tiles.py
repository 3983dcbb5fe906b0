"""The picture of a topology: zones, blocks, racks and NVLink domains of each cluster, with their nodes as tiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.stranded.nodes import FreeNode
from fleet.domain.topology.levels import BLOCK, NVLINK_DOMAIN, RACK, ZONE, domain_of

NOT_STATED = ""
"""In place of a value: no label states it."""


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """One node. `free` counts whole GPUs: None where unknown, or where the node hands out none."""

    node: PlacementNode
    free: int | None
    gpus: int | None
    """Whole GPUs it hands out."""
    nvlink_domain: str = NOT_STATED


class Rack(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes of one rack, by NVLink domain and name."""

    cluster: str
    zone: str
    block: str
    rack: str
    tiles: tuple[Tile, ...]

    @property
    def free(self) -> int:
        """Returns the known free whole GPUs."""
        return sum(tile.free or 0 for tile in self.tiles)

    @property
    def nvlink_domains(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(tile.nvlink_domain for tile in self.tiles if tile.nvlink_domain))


def racks(nodes: Iterable[PlacementNode], free: Sequence[FreeNode]) -> list[Rack]:
    """Returns every rack with its nodes, by cluster, zone, block and rack. Nodes of a zone without such labels are together."""
    free_by_key = {node.key: node for node in free}
    places: dict[tuple[str, str, str, str], list[Tile]] = {}
    for node in nodes:
        place = (node.cluster, _value(ZONE, node), _value(BLOCK, node), _value(RACK, node))
        known = free_by_key.get(node.key)
        slots = node.slots(known.resource) if known else None
        tile = Tile(
            node=node,
            free=known.gpus if known else None,
            gpus=slots.allocatable if slots else None,
            nvlink_domain=_value(NVLINK_DOMAIN, node),
        )
        places.setdefault(place, []).append(tile)
    return [
        Rack(
            cluster=cluster,
            zone=zone,
            block=block,
            rack=rack,
            tiles=tuple(sorted(tiles, key=lambda tile: (tile.nvlink_domain, tile.node.name))),
        )
        for (cluster, zone, block, rack), tiles in sorted(places.items())
    ]


def _value(level: str, node: PlacementNode) -> str:
    domain = domain_of(level, node.cluster, node.labels)
    return domain.value if domain else NOT_STATED
