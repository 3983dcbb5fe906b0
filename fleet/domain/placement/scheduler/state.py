"""One cluster as the scheduler's filters look at it: nodes with what their pods take."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from copy import copy

import msgspec

from fleet.domain.dra.resource_pools import DraNode
from fleet.domain.placement.scheduler.devices import ClusterClaims
from fleet.domain.pod_resources import amount_of, holds
from fleet.domain.snapshot import NodeSnapshot, PodSnapshot, Taint
from fleet.domain.snapshot.scheduling import HostPort, PodScheduling, SchedulingObjects

NOTHING = PodScheduling()


class NodeState(msgspec.Struct, kw_only=True, frozen=True):
    """A node with what is left of it. None in `requested`: a pod's request of that resource cannot be read."""

    name: str
    labels: dict[str, str] = {}
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    allocatable: dict[str, int | None] = {}
    requested: dict[str, int | None] = {}
    pods: tuple[PodSnapshot, ...] = ()
    """Pods that hold something of it: bound and not finished, terminating ones included."""
    ports: frozenset[HostPort] = frozenset()
    complete: bool = True
    """False where a pod on it was collected without what the scheduler reads."""

    def free(self, resource: str) -> int | None:
        """Units left; None where unknown. A resource the node does not list has none."""
        requested, allocatable = self.requested.get(resource, 0), self.allocatable.get(resource, 0)
        return None if requested is None or allocatable is None else allocatable - requested

    def with_pods(self, added: Sequence[PodSnapshot]) -> NodeState:
        """Returns the node as if these pods were bound to it as well."""
        return _fill(self, (*self.pods, *added)) if added else self


def scheduling_of(pod: PodSnapshot) -> PodScheduling:
    return pod.scheduling or NOTHING


def _fill(node: NodeState, pods: Sequence[PodSnapshot]) -> NodeState:
    requested: dict[str, int | None] = {}
    ports: set[HostPort] = set()
    for pod in pods:
        scheduling = scheduling_of(pod)
        ports.update(scheduling.ports)
        for name, amount in scheduling.requests.items():
            before = requested.get(name, 0)
            requested[name] = None if before is None or amount is None else before + amount
    return msgspec.structs.replace(
        node,
        requested=requested,
        pods=tuple(pods),
        ports=frozenset(ports),
        complete=all(pod.scheduling is not None for pod in pods),
    )


def node_state(node: NodeSnapshot, pods: Iterable[PodSnapshot] = ()) -> NodeState:
    """Returns a node with the pods that hold something of it."""
    allocatable: dict[str, int | None] = {}
    for name, text in node.allocatable.items():
        amount = amount_of(name, text)
        allocatable[name] = None if amount is None else int(amount)
    state = NodeState(
        name=node.name,
        labels=node.labels,
        taints=node.taints,
        unschedulable=node.unschedulable,
        allocatable=allocatable,
    )
    return _fill(state, [pod for pod in pods if holds(pod)])


def dra_view(node: NodeState) -> tuple[DraNode, dict[str, int]]:
    """Returns what DRA looks at of a node, and what its device plugin has allocatable."""
    plugin = {name: amount for name, amount in node.allocatable.items() if amount and "/" in name}
    return DraNode(name=node.name, labels=node.labels), plugin


class ClusterState:
    """Nodes, pods and other objects of one cluster. `whole`: whether every node of the cluster, of any kind, is among them."""

    def __init__(
        self,
        nodes: Iterable[NodeSnapshot],
        pods: Iterable[PodSnapshot],
        objects: SchedulingObjects,
        *,
        whole: bool,
        claims: ClusterClaims | None = None,
    ) -> None:
        by_node: dict[str, list[PodSnapshot]] = defaultdict(list)
        self.nominated: dict[str, list[PodSnapshot]] = defaultdict(list)
        """Pods that wait for the room preemption promised them, by node."""
        for pod in pods:
            if pod.node_name:
                by_node[pod.node_name].append(pod)
            elif scheduling_of(pod).nominated:
                self.nominated[scheduling_of(pod).nominated].append(pod)
        self.objects = objects
        self.whole = whole
        self.claims = claims or ClusterClaims(None)
        """What pods may have through DRA."""
        self.nodes: dict[str, NodeState] = {node.name: node_state(node, by_node.get(node.name, ())) for node in nodes}
        self.elsewhere: tuple[PodSnapshot, ...] = tuple(
            pod for name, group in by_node.items() if name not in self.nodes for pod in group if holds(pod)
        )
        self._index()

    def _index(self) -> None:
        self.with_anti_affinity = [
            (node, pod) for node in self.nodes.values() for pod in node.pods if scheduling_of(pod).anti_affinity
        ]
        self.claim_users: Counter[tuple[str, str]] = Counter(
            (pod.namespace, name)
            for pod in (*(pod for node in self.nodes.values() for pod in node.pods), *self.elsewhere)
            for name in scheduling_of(pod).volume_claims
        )

    def with_pod(self, name: str, pod: PodSnapshot) -> ClusterState:
        """Returns the cluster as if this pod were bound to the node as well; this state stays as it is."""
        changed: ClusterState = copy(self)
        changed.nodes = {**self.nodes, name: self.nodes[name].with_pods([pod])}
        if scheduling_of(pod).anti_affinity:
            changed.with_anti_affinity = [*self.with_anti_affinity, (changed.nodes[name], pod)]
        if self.needs_devices(pod, self.nodes[name]):
            changed.claims = self.claims.copy()
            asked = changed.claims.asked(pod, scheduling_of(pod))
            if not isinstance(asked, str):
                changed.claims.hold(asked, *dra_view(self.nodes[name]))
        changed.claim_users = self.claim_users + Counter((pod.namespace, claim) for claim in scheduling_of(pod).volume_claims)
        return changed

    def through_dra(self, resource: str, node: NodeState) -> bool:
        """Returns whether a DeviceClass offers the resource on this node, whose device plugin does not."""
        return resource in self.claims.resources and not node.allocatable.get(resource)

    def asks_devices(self, pod: PodSnapshot) -> bool:
        """Returns whether the pod may need devices through DRA on some node."""
        scheduling = scheduling_of(pod)
        return scheduling.claims or any(name in self.claims.resources for name in scheduling.requests)

    def needs_devices(self, pod: PodSnapshot, node: NodeState) -> bool:
        """Returns whether the pod needs devices through DRA on this node: for claims, or for what its plugin does not offer."""
        scheduling = scheduling_of(pod)
        return scheduling.claims or any(self.through_dra(name, node) for name in scheduling.requests)

    def namespace_labels(self, namespace: str) -> Mapping[str, str] | None:
        """Labels of a namespace; None where they were not read."""
        namespaces = self.objects.namespaces
        return None if namespaces is None else namespaces.get(namespace, {})
