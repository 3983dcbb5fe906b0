"""Selector of a pool's nodes: labels by Kubernetes' own grammar, cluster, product, partitioning, sharing."""

from __future__ import annotations

import msgspec

from fleet.domain import labels
from fleet.domain.label_selectors import Requirement, holds, matches, to_text
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import NODE_NAME

PARTITIONINGS = ("none", "mig-single", "mig-mixed")
SHARINGS = ("exclusive", "time-slicing", "mps")
NO_POOL_LABELS = frozenset({labels.HOSTNAME, NODE_NAME})
"""Labels that name one node: a pool by them would name nodes, and lose a replaced node."""


class PoolSelector(msgspec.Struct, frozen=True, kw_only=True):
    """Selector of a pool. All parts must match; a list matches by one of its values. An empty selector selects every GPU node."""

    labels: tuple[Requirement, ...] = ()
    clusters: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    """As GPU feature discovery writes them, without the suffixes for sharing and MIG."""
    partitioning: tuple[str, ...] = ()
    sharing: tuple[str, ...] = ()


def selects(selector: PoolSelector, node: PlacementNode) -> bool:
    """Returns whether the node is a member. An unknown fact matches nothing."""
    return (
        (not selector.clusters or node.cluster in selector.clusters)
        and (not selector.products or node.product in selector.products)
        and (not selector.partitioning or node.partitioning in selector.partitioning)
        and (not selector.sharing or node.sharing in selector.sharing)
        and matches(selector.labels, node.labels)
    )


def why_not(selector: PoolSelector, node: PlacementNode) -> tuple[str, ...]:
    """Returns why the node is not a member, a sentence for each part of the selector; empty for a member."""
    rows = []
    if selector.clusters and node.cluster not in selector.clusters:
        rows.append(f"It is in cluster {node.cluster}.")
    missed = [label for label in selector.labels if not holds(label, node.labels.get(label.key))]
    if missed:
        rows.append(f"Its labels do not match {to_text(missed)}.")
    for wanted, values, word in (
        (selector.products, node.product, "product"),
        (selector.partitioning, node.partitioning, "partitioning"),
        (selector.sharing, node.sharing, "sharing"),
    ):
        if wanted and values not in wanted:
            rows.append(f"Its {word} is {values}." if values else f"Its {word} is unknown.")
    return tuple(rows)
