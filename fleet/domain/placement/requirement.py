"""What is asked of nodes: slots by resource name, where they may be, what they must be, and how many pods belong together."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from fleet.domain.label_selectors import Requirement
from fleet.domain.snapshot import Taint

NODE_NAME = "metadata.name"
"""In place of a label's key: the node's own name (matchFields of a node affinity)."""
GOOD = ("ready", "degraded")
"""Verdicts of nodes whose cards a workload may count on."""


class Toleration(msgspec.Struct, frozen=True):
    """As in a pod spec: an empty key with Exists tolerates everything, an empty effect every effect."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""

    def tolerates(self, taint: Taint) -> bool:
        if self.effect and self.effect != taint.effect:
            return False
        if self.operator == "Exists":
            return not self.key or self.key == taint.key
        return self.key == taint.key and self.value == taint.value


class PodRequirement(msgspec.Struct, frozen=True, kw_only=True):
    """What one pod asks, and how many like it make a replica. The default asks nothing and matches every node.

    The first part is what the scheduler looks at; the second is what a promise adds and the scheduler does not know.
    """

    resources: tuple[tuple[str, int], ...] = ()
    """Extended resource, or DRA device class, to slots per pod."""
    selector: tuple[Requirement, ...] = ()
    """Labels the node must have (nodeSelector); all of them."""
    terms: tuple[tuple[Requirement, ...], ...] = ()
    """Terms of the required node affinity; one of them must hold. Empty is anything."""
    tolerations: tuple[Toleration, ...] = ()
    pods: int = 1
    """Pods of one replica. They land together in one cluster; two may share a node that has room for both."""
    domain: str = ""
    """Label whose value all pods of a replica must share (nvidia.com/gpu.clique); empty for anywhere in the cluster."""

    clusters: tuple[str, ...] = ()
    """Empty is every cluster."""
    pool: str = ""
    """Slug of the pool the node must be a member of; empty for any node."""
    verdicts: tuple[str, ...] = ()
    """Verdicts that count; empty where the ladder is not asked."""
    products: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    """What one slot may be (nodes.MODES); empty is anything."""
    profile: str = ""
    """MIG profile of one slot."""
    min_memory_mib: int | None = None
    """Per slot."""
    min_driver: str = ""
    min_cuda: str = ""
    nvlink: bool = False
    """Whether the cards of the node must be joined by NVLink."""

    def label_keys(self) -> frozenset[str]:
        """Every label it looks at."""
        told = [one.key for one in self.selector] + [one.key for term in self.terms for one in term]
        return frozenset([*told, self.domain] if self.domain else told)


@lru_cache(maxsize=4096)
def version(text: str) -> tuple[int, ...] | None:
    """A driver's or CUDA's version as numbers, so that 570.172.08 equals 570.172.8; None for what is none."""
    parts = text.split(".")
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        return None
    numbers = [int(part) for part in parts]
    while len(numbers) > 1 and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
