"""Nodes grouped by everything that placement depends on: identical nodes are evaluated once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import NODE_NAME


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes that are equal for every requirement, by the labels of the grouping."""

    node: PlacementNode
    """Any of the nodes: all are equal."""
    nodes: tuple[PlacementNode, ...]


class Fleet:
    """Nodes grouped into shapes. `keys` are the labels that requirements will look at: others keep no two nodes apart.

    Asking it a requirement with another label in it gives wrong answers: name every label beforehand, or make it of few nodes
    with `keys=None`, which keeps every node by itself.
    """

    def __init__(self, nodes: Iterable[PlacementNode], keys: Iterable[str] | None = (), others: Iterable[str] = ()) -> None:
        self.nodes: tuple[PlacementNode, ...] = tuple(nodes)
        self.keys: tuple[str, ...] | None = None if keys is None else tuple(sorted(set(keys)))
        self._others: frozenset[str] = frozenset(others)
        self._by_others: dict[frozenset[str], Fleet] = {}
        self.shapes: tuple[Shape, ...] = tuple(_group(self.nodes, self.keys, sorted(self._others)))
        self._by_pool: dict[str, list[Shape]] = {}
        self._by_resource: dict[str, list[Shape]] = {}
        for shape in self.shapes:
            for pool in shape.node.pools:
                self._by_pool.setdefault(pool, []).append(shape)
            for slots in shape.node.resources:
                if slots.capacity or slots.predicted:
                    self._by_resource.setdefault(slots.name, []).append(shape)

    def by_others(self, names: Iterable[str]) -> Fleet:
        """Returns the fleet whose shapes also keep apart what is free of these other resources (cpu, memory …)."""
        wanted = frozenset(names) - self._others
        if not wanted:
            return self
        if wanted not in self._by_others:
            self._by_others[wanted] = Fleet(self.nodes, self.keys, self._others | wanted)
        return self._by_others[wanted]

    def of_pool(self, pool: str) -> Sequence[Shape]:
        """Returns the shapes of a pool's members; all shapes for no pool."""
        return self._by_pool.get(pool, ()) if pool else self.shapes

    def offering(self, resource: str) -> Sequence[Shape]:
        """Returns the shapes that advertise this resource, or should."""
        return self._by_resource.get(resource, ())


def _group(nodes: Sequence[PlacementNode], keys: Sequence[str] | None, others: Sequence[str]) -> Iterable[Shape]:
    if keys is None or NODE_NAME in keys:
        return [Shape(node=node, nodes=(node,)) for node in nodes]
    groups: dict[tuple[object, ...], list[PlacementNode]] = {}
    for node in nodes:
        labels = node.labels.get
        seen = (
            tuple([labels(key) for key in keys]),
            node.resources,
            _pods_that_matter(node),
            node.cluster,
            node.pools,
            node.verdict,
            node.last_verdict,
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
            node.keeps_out,
            tuple([node.other_free(name) for name in others]),
        )
        groups.setdefault(seen, []).append(node)
    return [Shape(node=members[0], nodes=tuple(members)) for members in groups.values()]


def _pods_that_matter(node: PlacementNode) -> int | None:
    """Free places for pods, up to the number of its slots: a pod takes at least one, so more places keep no two nodes apart."""
    if node.pods_free is None:
        return None
    slots = sum(
        max(slots.capacity or 0, slots.allocatable or 0, slots.predicted or 0, slots.free or 0) for slots in node.resources
    )
    return min(node.pods_free, max(slots, 1))
