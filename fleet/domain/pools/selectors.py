"""Which nodes a pool wants: labels by Kubernetes' own grammar, cluster, product, partitioning, sharing."""

from __future__ import annotations

import msgspec

from fleet.domain import labels
from fleet.domain.label_selectors import Requirement, holds, matches, to_text
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import NODE_NAME

PARTITIONINGS = ("none", "mig-single", "mig-mixed")
SHARINGS = ("exclusive", "time-slicing", "mps")
NO_POOL_LABELS = frozenset({labels.HOSTNAME, NODE_NAME})
"""Labels that name one node: what is written for a pool would then name nodes, and a replaced node would fall out of it."""


class PoolSelector(msgspec.Struct, frozen=True, kw_only=True):
    """All that is written must hold; a list holds where one of its values does. Empty everywhere selects every GPU node."""

    labels: tuple[Requirement, ...] = ()
    clusters: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    """As GPU feature discovery writes them, without the suffixes for sharing and MIG."""
    partitioning: tuple[str, ...] = ()
    sharing: tuple[str, ...] = ()


def selects(selector: PoolSelector, node: PlacementNode) -> bool:
    """Whether the node is a member. What nobody knows of a node selects nothing."""
    return (
        (not selector.clusters or node.cluster in selector.clusters)
        and (not selector.products or node.product in selector.products)
        and (not selector.partitioning or node.partitioning in selector.partitioning)
        and (not selector.sharing or node.sharing in selector.sharing)
        and matches(selector.labels, node.labels)
    )


def why_not(selector: PoolSelector, node: PlacementNode) -> tuple[str, ...]:
    """Why the node is no member, a sentence for each part of the selector; empty for a member."""
    told = []
    if selector.clusters and node.cluster not in selector.clusters:
        told.append(f"It is in cluster {node.cluster}.")
    missed = [one for one in selector.labels if not holds(one, node.labels.get(one.key))]
    if missed:
        told.append(f"Its labels do not match {to_text(missed)}.")
    for wanted, here, word in (
        (selector.products, node.product, "product"),
        (selector.partitioning, node.partitioning, "partitioning"),
        (selector.sharing, node.sharing, "sharing"),
    ):
        if wanted and here not in wanted:
            told.append(f"Its {word} is {here}." if here else f"Its {word} is unknown.")
    return tuple(told)
