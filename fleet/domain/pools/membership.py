"""Membership of nodes in pools: nodes in no pool, and nodes in several exclusive ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.pools.policy import PoolSpec
from fleet.domain.pools.selection import selects

Key = tuple[str, str]
"""Cluster and name of a node."""


class Clash(msgspec.Struct, frozen=True):
    """A node in two or more exclusive pools."""

    node: Key
    pools: tuple[str, ...]


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """Slugs of each node's pools, in the order the pools were given; every node asked about is in it."""

    pools: dict[Key, tuple[str, ...]]
    alone: tuple[Key, ...]
    """Nodes in no pool."""
    clashes: tuple[Clash, ...]

    def members(self, slug: str) -> frozenset[Key]:
        return frozenset(key for key, slugs in self.pools.items() if slug in slugs)


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """Changes by saving one pool."""

    members: tuple[Key, ...]
    joins: tuple[Key, ...]
    leaves: tuple[Key, ...]
    alone: tuple[Key, ...]
    """Nodes that would be in no pool afterwards and are in one now."""
    clashes: tuple[Clash, ...]
    """Clashes afterwards that this pool is part of."""


def assign(pools: Sequence[PoolSpec], nodes: Iterable[PlacementNode]) -> Membership:
    """Returns every node's pools, by its current facts."""
    exclusive = {pool.slug for pool in pools if pool.policy.exclusive}
    result: dict[Key, tuple[str, ...]] = {}
    alone, clashes = [], []
    for node in nodes:
        slugs = tuple(pool.slug for pool in pools if selects(pool.selector, node))
        result[node.key] = slugs
        if not slugs:
            alone.append(node.key)
        rivals = tuple(slug for slug in slugs if slug in exclusive)
        if len(rivals) > 1:
            clashes.append(Clash(node.key, rivals))
    return Membership(pools=result, alone=tuple(alone), clashes=tuple(clashes))


def preview(
    pool: PoolSpec, others: Sequence[PoolSpec], nodes: Sequence[PlacementNode], before: PoolSpec | None = None
) -> Preview:
    """Returns the changes by saving `pool` beside `others` (all pools but this one); `before` is its saved version, if any."""
    now = assign([*others, before] if before else others, nodes)
    then = assign([*others, pool], nodes)
    were = now.members(before.slug) if before else frozenset()
    members = then.members(pool.slug)
    had_none = frozenset(now.alone)
    return Preview(
        members=tuple(sorted(members)),
        joins=tuple(sorted(members - were)),
        leaves=tuple(sorted(were - members)),
        alone=tuple(key for key in then.alone if key not in had_none),
        clashes=tuple(clash for clash in then.clashes if pool.slug in clash.pools),
    )
