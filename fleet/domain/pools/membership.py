"""Which node is in which pool, who is in none, and who is in two that exclude each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.pools.policy import Pool
from fleet.domain.pools.selectors import selects

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
    """What saving one pool would change."""

    members: tuple[Key, ...]
    joins: tuple[Key, ...]
    leaves: tuple[Key, ...]
    alone: tuple[Key, ...]
    """Nodes that would be in no pool afterwards and are in one now."""
    clashes: tuple[Clash, ...]
    """Clashes afterwards that this pool is part of."""


def assign(pools: Sequence[Pool], nodes: Iterable[PlacementNode]) -> Membership:
    """Every node's pools, by its facts as they are now."""
    exclusive = {pool.slug for pool in pools if pool.policy.exclusive}
    found: dict[Key, tuple[str, ...]] = {}
    alone, clashes = [], []
    for node in nodes:
        slugs = tuple(pool.slug for pool in pools if selects(pool.selector, node))
        found[node.key] = slugs
        if not slugs:
            alone.append(node.key)
        rivals = tuple(slug for slug in slugs if slug in exclusive)
        if len(rivals) > 1:
            clashes.append(Clash(node.key, rivals))
    return Membership(pools=found, alone=tuple(alone), clashes=tuple(clashes))


def with_pools(pools: Sequence[Pool], nodes: Iterable[PlacementNode]) -> list[PlacementNode]:
    """The same nodes, each with its pools filled in."""
    return [
        msgspec.structs.replace(node, pools=tuple(pool.slug for pool in pools if selects(pool.selector, node))) for node in nodes
    ]


def preview(pool: Pool, others: Sequence[Pool], nodes: Sequence[PlacementNode], before: Pool | None = None) -> Preview:
    """What changes when `pool` is saved beside `others` (all pools but this one); `before` is it as saved now, if it is."""
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
