"""What can be done about nodes that do not match a class and that the scheduler would still use for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.pools.identity import POOL_LABEL
from fleet.domain.pools.policy import PoolSpec


def not_told_apart(pool: PoolSpec, strays: Sequence[PlacementNode]) -> Iterator[str]:
    """Yields what can be done about these nodes: the pool's label does not help where it is already, nor within the pool."""
    land = "pods of this class may land there."
    label = f"{POOL_LABEL}={pool.slug}"
    members = [node for node in strays if pool.slug in node.pools]
    if members:
        yield (
            f"Labels cannot tell {named(members)} of pool {pool.slug} from nodes that match the class: {land} "
            "Put the matching nodes in a separate pool."
        )
    outside = [node for node in strays if pool.slug not in node.pools]
    labelled = [node for node in outside if node.labels.get(POOL_LABEL) == pool.slug]
    if labelled:
        which = "it is" if len(labelled) == 1 else "they are"
        yield f"Remove the label {label} from {named(labelled)}: {which} not in the pool, and {land}"
    others = [node for node in outside if node.labels.get(POOL_LABEL) != pool.slug]
    if others:
        yield (
            f"Labels cannot tell {named(others)} from pool {pool.slug}: {land} Add the label {label} to the nodes of the pool."
        )


def named(nodes: Sequence[PlacementNode]) -> str:
    """Returns the name of one node, or how many there are with the name of the first."""
    return nodes[0].name if len(nodes) == 1 else f"{len(nodes)} nodes ({nodes[0].name} and others)"
