"""Room of one class in one pool, with the reason of every member that takes no pod."""

from __future__ import annotations

import msgspec

from fleet.domain.placement.matching import Reason
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import PodRequirement

READINESS_TAINT = "readiness.k8s.io/gpu:NoSchedule"
"""A taint that keeps pods off nodes that are not ready, with the prefix that Node Readiness Controller manages."""


class ExcludedNodes(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes of a pool that take no pod, for the same first reason."""

    reason: Reason
    nodes: tuple[PlacementNode, ...]


class PoolRoom(msgspec.Struct, frozen=True, kw_only=True):
    """Room for one requirement in its pool (or anywhere, where it names none), without what pools before it take."""

    pool: str
    requirement: PodRequirement
    replicas: int
    """Replicas that could be scheduled now."""
    with_last_known: int
    """Replicas if nodes of clusters not read recently are unchanged."""
    back: int
    """Replicas once broken nodes and lost devices are back as well."""
    nodes: int
    """Members of the pool."""
    open_nodes: int
    """Of them, nodes that take at least one pod now."""
    by_free: dict[int, int]
    """Nodes that depend on their free slots only: free slots of the requested resource to number of nodes."""
    excluded: tuple[ExcludedNodes, ...]
    """Members that take no pod now, by their first reason, the biggest group first."""
    unready_nodes: int = 0
    """Members that are not counted because of their verdict alone: the scheduler places pods there all the same."""
    unready_pods: int = 0
    """Pods that the scheduler would place on them now."""

    @property
    def warning(self) -> str:
        """Returns the warning about members that are not ready but open to the scheduler; empty where there are none."""
        if not self.unready_pods:
            return ""
        members = (
            "1 member that is not ready has"
            if self.unready_nodes == 1
            else f"{self.unready_nodes:,} members that are not ready have"
        )
        pods = "1 pod" if self.unready_pods == 1 else f"{self.unready_pods:,} pods"
        return (
            f"{members} room for {pods}. The scheduler does not know that they are not ready and often fills them first, because "
            f"they are empty. A taint such as {READINESS_TAINT} on them keeps pods off until they are ready; first let the "
            "DaemonSets of the GPU stack tolerate it, or they never become ready."
        )
