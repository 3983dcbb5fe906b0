"""What is asked of nodes: slots by resource name, where they may be, what they must be, and how many pods belong together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from fleet.domain.label_selectors import Requirement
from fleet.domain.pod_resources import scheduled_requests
from fleet.domain.snapshot.scheduling import RuntimeClass, Toleration

NODE_NAME = "metadata.name"
"""In place of a label's key: the node's own name (matchFields of a node affinity)."""
GOOD = ("ready", "degraded")
"""Verdicts of nodes whose cards a workload may count on."""
__all__ = ["GOOD", "NODE_NAME", "PodRequirement", "Toleration", "version"]


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

    labels: tuple[tuple[str, str], ...] = ()
    """Labels of the pod, which anti-affinity of running pods looks at; empty where nothing is known of them."""
    namespace: str = ""
    """Namespace of the pod; empty while it is not known."""
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
        """Returns every label it looks at."""
        selector = [item.key for item in self.selector] + [entry.key for term in self.terms for entry in term]
        return frozenset([*selector, self.domain] if self.domain else selector)


def with_runtime_classes(requirement: PodRequirement, entries: Sequence[RuntimeClass]) -> PodRequirement:
    """Returns the requirement with what admission adds for its RuntimeClass, given as the clusters have it.

    Of overheads that differ the largest counts, of labels all, of tolerations those that every cluster adds.
    """
    resources = dict(requirement.resources)
    overhead: dict[str, int] = {}
    for entry in entries:
        for name, amount in scheduled_requests((), entry.overhead).items():
            overhead[name] = max(overhead.get(name, 0), amount or 0)
    for name, amount in overhead.items():
        resources[name] = resources.get(name, 0) + amount
    labels = {Requirement(key, "in", (value,)) for entry in entries for key, value in entry.selector.items()}
    offered = entries[0].tolerations if entries else ()
    added = [toleration for toleration in offered if all(toleration in entry.tolerations for entry in entries)]
    return msgspec.structs.replace(
        requirement,
        resources=tuple(resources.items()),
        selector=(*requirement.selector, *sorted(labels, key=repr)),
        tolerations=(*requirement.tolerations, *(item for item in added if item not in requirement.tolerations)),
    )


@lru_cache(maxsize=4096)
def version(text: str) -> tuple[int, ...] | None:
    """Returns a driver's or CUDA's version as numbers, so that 570.172.08 equals 570.172.8; None for what is none."""
    parts = text.split(".")
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        return None
    numbers = [int(part) for part in parts]
    while len(numbers) > 1 and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
