"""Runs every filter over every node for one pod, in the scheduler's order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

import msgspec

from fleet.domain.placement.scheduler import node_filters, pod_filters, reasons, volumes
from fleet.domain.placement.scheduler.pod_filters import Filter
from fleet.domain.placement.scheduler.reasons import Refusal
from fleet.domain.placement.scheduler.state import ClusterState, NodeState, dra_view, scheduling_of
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.snapshot.scheduling import PodScheduling

NodeFilter = Callable[[PodSnapshot, PodScheduling, NodeState], tuple[Refusal, ...]]
_BEFORE_VOLUMES: tuple[NodeFilter, ...] = (
    node_filters.unschedulable,
    node_filters.taints,
    node_filters.node_affinity,
    node_filters.host_ports,
    node_filters.resources,
)


class PodEvaluation(msgspec.Struct, frozen=True, kw_only=True):
    """The scheduler's answer about one pod, as far as Muster can compute it."""

    refused: str = ""
    """Why no scheduler looks at any node: gates, another scheduler, a pod the API server refuses."""
    refused_id: str = ""
    nodes: dict[str, tuple[Refusal, ...]] = {}
    """Node to its reasons; an empty tuple where the pod fits."""
    unknown: tuple[str, ...] = ()
    """Nodes of which Muster does not know whether they take the pod."""
    not_modelled: tuple[str, ...] = ()

    @property
    def feasible(self) -> tuple[str, ...] | None:
        """Nodes that pass every filter, sorted; None where no scheduler looks or the answer is unknown."""
        if self.refused or self.unknown:
            return None
        return self.fitting

    @property
    def fitting(self) -> tuple[str, ...]:
        """Nodes that certainly take the pod."""
        return tuple(sorted(name for name, refusals in self.nodes.items() if not refusals))

    @property
    def fits(self) -> bool | None:
        """Returns whether the pod lands now; None where unknown."""
        if self.refused:
            return False
        if any(not refusals for refusals in self.nodes.values()):
            return True
        return None if self.unknown else False

    def groups(self) -> Counter[Refusal]:
        """Reasons with the number of nodes each keeps out, as the scheduler's message counts them."""
        return Counter(refusal for refusals in self.nodes.values() for refusal in refusals)


def evaluate(pod: PodSnapshot, state: ClusterState, only: Collection[str] | None = None) -> PodEvaluation:
    """Returns which nodes of the cluster (or of `only`) take this pod, which is not bound to any."""
    scheduling = scheduling_of(pod)
    chosen = state.nodes if only is None else {name: state.nodes[name] for name in only}
    if pod.scheduling is None:
        return PodEvaluation(unknown=tuple(chosen), not_modelled=("what the pod requests (not read yet)",))
    if refusal := _refused(pod, scheduling):
        return PodEvaluation(refused_id=refusal[0], refused=refusal[1])
    gaps = list(scheduling.not_modelled)
    asked = state.claims.asked(pod, scheduling) if state.asks_devices(pod) else None
    if isinstance(asked, str):
        gaps.insert(0, asked)
        asked = None
    pod_volumes = volumes.pod_volumes(pod, scheduling, state)
    gaps += pod_volumes.not_modelled
    if pod_volumes.refusal is not None:
        # Asked before any node is looked at (PreFilter): the same answer for all of them.
        return PodEvaluation(nodes=dict.fromkeys(chosen, (pod_volumes.refusal,)))
    named = node_filters.named_nodes(scheduling.terms)
    cluster_filters = _cluster_filters(pod, scheduling, state)
    nodes: dict[str, tuple[Refusal, ...]] = {}
    unknown: list[str] = []
    unknown_parts: set[str] = set()
    failed: Refusal | None = None
    for name, node in chosen.items():
        if named is not None and name not in named:
            nodes[name] = (reasons.NOT_NAMED,)
            continue
        promised = _promised(pod, scheduling, name, state)
        refusals = _filter(pod, node.with_pods(promised), state, pod_volumes, cluster_filters)
        if refusals == () and promised:
            refusals = _promised_anti_affinity(pod, node, promised, state)
        if refusals == () and asked is not None and state.needs_devices(pod, node):
            answer = state.claims.answer(asked, *dra_view(node))
            failed = failed or (answer.refusal if answer.error else None)
            refusals = (answer.refusal,) if answer.refusal else refusals
            if answer.unknown:
                refusals = None
                unknown_parts |= _unknown_devices(scheduling, node, state, answer.unknown)
        if refusals == () and not node.complete:
            refusals = None
            unknown_parts.add("pods on nodes that were collected by an older version")
        if refusals == () and (names := node_filters.unknown_resources(scheduling, node, state)):
            refusals = None
            unknown_parts.update(f"free {resource}" for resource in names)
        if refusals is None or (refusals == () and gaps):
            unknown.append(name)
        else:
            nodes[name] = refusals
    if failed is not None:
        # The scheduler fails on a node and with it on the pod: it tries again later, and schedules the pod nowhere until then.
        nodes |= {name: (failed,) for name in chosen if not nodes.get(name)}
        unknown = []
    if unknown and not gaps and not unknown_parts:
        unknown_parts.add("pods and nodes that Muster does not collect (nodes without GPUs), or labels of namespaces")
    return PodEvaluation(nodes=nodes, unknown=tuple(unknown), not_modelled=(*dict.fromkeys(gaps), *sorted(unknown_parts)))


def _refused(pod: PodSnapshot, scheduling: PodScheduling) -> tuple[str, str] | None:
    if scheduling.problem:
        return "admission", scheduling.problem
    if scheduling.scheduler:
        return "gate", f"Scheduler {scheduling.scheduler} is responsible for this pod, not the default one."
    if scheduling.gates:
        return "gate", f"Scheduling gates: {', '.join(scheduling.gates)}."
    return None


def _cluster_filters(pod: PodSnapshot, scheduling: PodScheduling, state: ClusterState) -> tuple[Filter, ...]:
    """Filters that look at pods of the whole cluster, in order; only those that can refuse."""
    filters = []
    if scheduling.spread:
        filters.append(pod_filters.topology_spread(pod, scheduling, state))
    if scheduling.affinity:
        filters.append(pod_filters.pod_affinity(pod, scheduling, state))
    if scheduling.anti_affinity:
        filters.append(pod_filters.pod_anti_affinity(pod, scheduling, state))
    if state.with_anti_affinity:
        filters.append(pod_filters.existing_anti_affinity(pod, state))
    return tuple(filters)


def _filter(
    pod: PodSnapshot, node: NodeState, state: ClusterState, pod_volumes: volumes.PodVolumes, cluster_filters: tuple[Filter, ...]
) -> tuple[Refusal, ...] | None:
    """Reasons of the first filter that refuses the node; None where unknown, () where the pod fits."""
    scheduling = scheduling_of(pod)
    for ask in _BEFORE_VOLUMES:
        refusals = ask(pod, scheduling, node)
        if ask is node_filters.resources:
            refusals = tuple(refusal for refusal in refusals if not state.through_dra(refusal.resource, node))
        if refusals:
            return refusals
    if scheduling.volume_claims:
        refusals = (
            volumes.restrictions(pod_volumes)
            or volumes.limits(pod_volumes, node, state)
            or volumes.binding(pod_volumes, node, state.objects.storage)
            or volumes.zone(pod_volumes, node)
        )
        if refusals:
            return refusals
    unsure = False
    for check in cluster_filters:
        answer = check(node)
        if answer:
            return answer
        unsure = unsure or answer is None
    return None if unsure else ()


def _unknown_devices(scheduling: PodScheduling, node: NodeState, state: ClusterState, reason: str) -> set[str]:
    if scheduling.claims:
        return {reason}
    offered = [name for name in scheduling.requests if state.through_dra(name, node)]
    return {f"{name} through DRA (a DeviceClass offers it)" for name in offered}


def _promised(pod: PodSnapshot, scheduling: PodScheduling, node: str, state: ClusterState) -> list[PodSnapshot]:
    """Pods of this priority or more that preemption promised room on the node: the scheduler counts them as bound."""
    return [
        other
        for other in state.nominated.get(node, ())
        if other.uid != pod.uid and scheduling_of(other).priority >= scheduling.priority
    ]


def _promised_anti_affinity(
    pod: PodSnapshot, node: NodeState, promised: list[PodSnapshot], state: ClusterState
) -> tuple[Refusal, ...] | None:
    own = [term for term in scheduling_of(pod).anti_affinity if term.topology_key in node.labels]
    if any(pod_filters.selects(term, pod.namespace, other, state) for term in own for other in promised):
        return (reasons.POD_ANTI_AFFINITY,)
    for other in promised:
        terms = [term for term in scheduling_of(other).anti_affinity if term.topology_key in node.labels]
        if any(pod_filters.selects(term, other.namespace, pod, state) for term in terms):
            return (reasons.EXISTING_ANTI_AFFINITY,)
    return ()
