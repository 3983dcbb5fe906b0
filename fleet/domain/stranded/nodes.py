"""Nodes with their free whole GPUs, everything else that is free on them, and the pods that could be moved away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from fleet.domain.devices.slots import ResourceSlots
from fleet.domain.labels import INSTANCE_TYPE
from fleet.domain.placement.matching import PODS
from fleet.domain.placement.nodes import FULL, PlacementNode, slot_mode
from fleet.domain.placement.requirement import GOOD
from fleet.domain.placement.scheduler.state import NodeState, scheduling_of
from fleet.domain.snapshot import PodSnapshot

Amounts = tuple[tuple[str, int], ...]
"""Resource to amount, sorted: cpu in millicores, memory in bytes, all else in units."""
Key = tuple[str, str]
"""Cluster and name of a node."""
_STAYS = frozenset({"DaemonSet", "Node"})
"""Owners whose pods belong to one node."""


class RunningPod(msgspec.Struct, frozen=True, kw_only=True):
    """A pod that could run on another node as well."""

    namespace: str
    name: str
    gpus: int
    """Whole GPUs it holds."""
    needs: Amounts


class FreeNode(msgspec.Struct, frozen=True, kw_only=True):
    """One node that hands out whole GPUs."""

    node: PlacementNode
    resource: str
    """Resource of which one unit is a whole GPU."""
    gpus: int | None
    """Free whole GPUs; None where they, or the CPU, memory or places for pods beside them, are unknown."""
    free: dict[str, int] = {}
    """Everything the scheduler counts: cpu in millicores, memory in bytes, all else in units."""
    movable: tuple[RunningPod, ...] = ()
    receives: bool = False
    """Whether moved pods may be sent here: ready, not cordoned, read recently, without pods that keep others away."""

    @property
    def key(self) -> Key:
        return self.node.key


def amounts(requests: Mapping[str, int]) -> Amounts:
    """Returns what is requested, without what is zero."""
    return tuple(sorted((name, amount) for name, amount in requests.items() if amount))


def whole_gpu_resource(node: PlacementNode) -> str:
    """Returns the resource of which one unit is a whole GPU on this node; empty where there is none.

    Where device plugin and DRA driver offer the same GPUs, the plugin's name counts: the GPUs are the same.
    """
    offered = _whole(node)
    return min(offered, key=lambda slots: (slots.kind.startswith("dra-"), slots.name)).name if offered else ""


def _whole(node: PlacementNode) -> list[ResourceSlots]:
    return [slots for slots in node.resources if slots.capacity != 0 and slot_mode(node, slots) == FULL]


def free_node(node: PlacementNode, state: NodeState | None) -> FreeNode | None:
    """Returns the node with what is free on it; None where it hands out no whole GPUs."""
    resource = whole_gpu_resource(node)
    if not resource:
        return None
    by_name = {slots.name: slots.free for slots in _whole(node)}
    free_gpus = by_name[resource]
    if free_gpus is None or state is None or not state.complete:
        return FreeNode(node=node, resource=resource, gpus=None)
    free: dict[str, int] = {}
    for name in state.allocatable:
        left = state.free(name)
        if left is None and name in ("cpu", "memory"):
            return FreeNode(node=node, resource=resource, gpus=None)
        free[name] = left or 0
    allowed = state.allocatable.get(PODS)
    if allowed is None:
        return FreeNode(node=node, resource=resource, gpus=None)
    free |= {name: left or 0 for name, left in by_name.items()} | {PODS: allowed - len(state.pods)}
    keeps_away = any(scheduling_of(pod).anti_affinity for pod in state.pods)
    return FreeNode(
        node=node,
        resource=resource,
        gpus=max(free_gpus, 0),
        free=free,
        movable=tuple(_running(pod, resource) for pod in state.pods if not why_fixed(pod)),
        receives=node.schedulable and node.verdict in GOOD and not node.stale and not keeps_away,
    )


def why_fixed(pod: PodSnapshot) -> str:
    """Returns why moving this pod is not proposed; empty where it is.

    As for cluster-autoscaler, a pod that no controller creates again is not moved. Muster does not evaluate whether the volumes,
    ports, devices and anti-affinity of a running pod fit another node, so pods with any of these stay.
    """
    scheduling = scheduling_of(pod)
    if pod.component:
        return "part of the GPU stack"
    if pod.owner_kind in _STAYS:
        return "belongs to its node"
    if not pod.owner_kind:
        return "no controller would create it again"
    if pod.deleting_since is not None:
        return "terminates already"
    if scheduling.volume_claims or scheduling.ports or scheduling.anti_affinity or scheduling.claims or pod.claims:
        return "has volumes, host ports, devices or anti-affinity"
    if pod.scheduling is None or None in scheduling.requests.values():
        return "its requests are unknown"
    return ""


def _running(pod: PodSnapshot, resource: str) -> RunningPod:
    requests = {name: amount or 0 for name, amount in scheduling_of(pod).requests.items()}
    return RunningPod(
        namespace=pod.namespace, name=pod.name, gpus=requests.get(resource, 0), needs=amounts({**requests, PODS: 1})
    )


def may_move(source: FreeNode, target: FreeNode) -> bool:
    """Returns whether pods of one node can be expected to be admitted by the other.

    The nodeSelector and tolerations of running pods are not collected: a target has the same cluster, pools, product and machine
    type, and no taint that the source has not.
    """
    return (
        target.receives
        and target.key != source.key
        and kind_of(target)[:-1] == kind_of(source)[:-1]
        and set(target.node.taints) <= set(source.node.taints)
    )


def kind_of(node: FreeNode) -> tuple[object, ...]:
    """Returns what must be equal for a move, and at last the taints, which must not become more."""
    made = node.node
    return made.cluster, made.pools, made.product, made.labels.get(INSTANCE_TYPE, ""), node.resource, made.taints


def fits(needs: Iterable[tuple[str, int]], free: Mapping[str, int]) -> bool:
    """Returns whether the free amounts hold one more such pod."""
    return all(free.get(name, 0) >= amount for name, amount in needs)


def pods_in(needs: Iterable[tuple[str, int]], free: Mapping[str, int]) -> int:
    """Returns how many such pods the free amounts hold."""
    return min((max(free.get(name, 0), 0) // amount for name, amount in needs), default=0)
