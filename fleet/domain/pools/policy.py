"""Purpose and policy of a pool."""

from __future__ import annotations

from datetime import date

import msgspec

from fleet.domain.placement.requirement import Toleration
from fleet.domain.pools.selection import PoolSelector
from fleet.domain.snapshot import Taint

PURPOSES = (
    "online inference",
    "batch inference",
    "experiments and notebooks",
    "training and fine-tuning",
    "small-model serving",
    "large-model serving",
    "MIG-backed shared",
    "full GPU",
)
"""Suggestions; a purpose is free text."""


class PoolPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Policy of a pool. The default requires one product, one driver, whole nodes up to rung 7, and no pods of others."""

    purpose: str = ""
    modes: tuple[str, ...] = ()
    """What one slot may be (placement.nodes.MODES); empty allows anything."""
    taints: tuple[Taint, ...] = ()
    """Every member must carry them."""
    tolerations: tuple[Toleration, ...] = ()
    """What pods must tolerate besides those taints."""
    one_product: bool = True
    one_driver: bool = True
    min_driver: str = ""
    max_driver: str = ""
    required_rung: int = 7
    other_pods: bool = False
    """Whether pods without GPU requests may run on the members."""
    priority_class: str = ""
    availability_target: float | None = None
    """Percent of known node-time ready over 30 days."""
    min_ready: int | None = None
    """Nodes that must be ready at any time."""
    partial_nodes: bool = False
    """Whether a node that lost some of its GPUs may still serve with the others."""
    exclusive: bool = True
    """Whether a member may be in no other exclusive pool."""
    nvlink: bool = False
    """The owner's declaration that NVLink connects the GPUs of every member, where no label states it."""
    owner: str = ""
    review_on: date | None = None


class PoolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of nodes. The slug is its name everywhere; it never changes."""

    slug: str
    title: str = ""
    description: str = ""
    selector: PoolSelector = PoolSelector()
    policy: PoolPolicy = PoolPolicy()
