"""Many nodes, grouped by everything that placement can see of them: identical nodes are judged once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import NODE_NAME


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes that no requirement can tell apart, by the labels the fleet was grouped for."""

    node: PlacementNode
    """Any of them: it speaks for all."""
    nodes: tuple[PlacementNode, ...]


class Fleet:
    """Nodes grouped into shapes. `keys` are the labels that requirements will look at: others keep no two nodes apart.

    Asking it a requirement with another label in it gives wrong answers: name every label beforehand, or make it of few nodes
    with `keys=None`, which keeps every node by itself.
    """

    def __init__(self, nodes: Iterable[PlacementNode], keys: Iterable[str] | None = ()) -> None:
        self.nodes: tuple[PlacementNode, ...] = tuple(nodes)
        self.shapes: tuple[Shape, ...] = tuple(_group(self.nodes, None if keys is None else sorted(set(keys))))
        self._by_pool: dict[str, list[Shape]] = {}
        self._by_resource: dict[str, list[Shape]] = {}
        for shape in self.shapes:
            for pool in shape.node.pools:
                self._by_pool.setdefault(pool, []).append(shape)
            for slots in shape.node.resources:
                if slots.capacity or slots.predicted:
                    self._by_resource.setdefault(slots.name, []).append(shape)

    def of_pool(self, pool: str) -> Sequence[Shape]:
        """The shapes of a pool's members; all of them for no pool."""
        return self._by_pool.get(pool, ()) if pool else self.shapes

    def offering(self, resource: str) -> Sequence[Shape]:
        """The shapes that offer this resource, or should."""
        return self._by_resource.get(resource, ())


def _group(nodes: Sequence[PlacementNode], keys: Sequence[str] | None) -> Iterable[Shape]:
    if keys is None or NODE_NAME in keys:
        return [Shape(node=node, nodes=(node,)) for node in nodes]
    groups: dict[tuple[object, ...], list[PlacementNode]] = {}
    for node in nodes:
        told = node.labels.get
        seen = (
            tuple([told(key) for key in keys]),
            node.resources,
            node.cluster,
            node.pools,
            node.verdict,
            node.taints,
            node.schedulable,
            node.stale,
            node.product,
            node.gpu_memory_mib,
            node.driver_version,
            node.cuda_version,
            node.partitioning,
            node.sharing,
            node.device_memory,
            node.nvlink,
        )
        groups.setdefault(seen, []).append(node)
    return [Shape(node=members[0], nodes=tuple(members)) for members in groups.values()]
