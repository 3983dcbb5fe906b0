"""Filters that look at one node: unschedulable, taints, node affinity, host ports, resources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fleet.domain import labels as known
from fleet.domain.label_selectors import Requirement, holds
from fleet.domain.placement.requirement import NODE_NAME
from fleet.domain.placement.scheduler import reasons
from fleet.domain.placement.scheduler.reasons import Refusal
from fleet.domain.placement.scheduler.state import ClusterState, NodeState
from fleet.domain.snapshot import PodSnapshot, Taint
from fleet.domain.snapshot.scheduling import HostPort, PodScheduling, Toleration

_KEEPS_OUT = frozenset({"NoSchedule", "NoExecute"})
_CORDON = Taint(known.TAINT_UNSCHEDULABLE, "", "NoSchedule")
Terms = Sequence[Sequence[Requirement]] | None


def untolerated(taints: Iterable[Taint], tolerations: Sequence[Toleration]) -> list[Taint]:
    """Taints that keep a pod with these tolerations out of a node."""
    return [
        taint
        for taint in taints
        if taint.effect in _KEEPS_OUT and not any(toleration.tolerates(taint) for toleration in tolerations)
    ]


def tolerates_cordon(tolerations: Sequence[Toleration]) -> bool:
    return any(toleration.tolerates(_CORDON) for toleration in tolerations)


def holds_on(requirement: Requirement, name: str, labels: Mapping[str, str]) -> bool:
    """Returns whether a requirement of a node affinity term holds for a node."""
    return holds(requirement, name if requirement.key == NODE_NAME else labels.get(requirement.key))


def matches_terms(terms: Terms, name: str, labels: Mapping[str, str]) -> bool:
    """Returns whether one of the terms holds; None is anything, no term at all is nothing."""
    return terms is None or any(all(holds_on(requirement, name, labels) for requirement in term) for term in terms)


def matches_node(scheduling: PodScheduling, node: NodeState) -> bool:
    """Returns whether nodeSelector and required node affinity admit the node."""
    for requirement in scheduling.selector:
        if not holds_on(requirement, node.name, node.labels):
            return False
    return matches_terms(scheduling.terms, node.name, node.labels)


def named_nodes(terms: Terms) -> frozenset[str] | None:
    """Returns the nodes that matchFields name, where every term names some; the scheduler looks at no others."""
    if not terms:
        return None
    names: set[str] = set()
    for term in terms:
        fields = [frozenset(entry.values) for entry in term if entry.key == NODE_NAME and entry.operator == "in" and entry.values]
        if not fields:
            return None
        names |= frozenset.intersection(*fields)
    return frozenset(names)


def unschedulable(pod: PodSnapshot, scheduling: PodScheduling, node: NodeState) -> tuple[Refusal, ...]:
    if node.unschedulable and not tolerates_cordon(scheduling.tolerations):
        return (reasons.UNSCHEDULABLE,)
    return ()


def taints(pod: PodSnapshot, scheduling: PodScheduling, node: NodeState) -> tuple[Refusal, ...]:
    return (reasons.TAINT,) if node.taints and untolerated(node.taints, scheduling.tolerations) else ()


def node_affinity(pod: PodSnapshot, scheduling: PodScheduling, node: NodeState) -> tuple[Refusal, ...]:
    return () if matches_node(scheduling, node) else (reasons.AFFINITY,)


def host_ports(pod: PodSnapshot, scheduling: PodScheduling, node: NodeState) -> tuple[Refusal, ...]:
    for wanted in scheduling.ports:
        if any(_conflict(wanted, taken) for taken in node.ports):
            return (reasons.PORTS,)
    return ()


def _conflict(wanted: HostPort, taken: HostPort) -> bool:
    if (wanted.port, wanted.protocol) != (taken.port, taken.protocol):
        return False
    return not wanted.address or not taken.address or wanted.address == taken.address


def resources(pod: PodSnapshot, scheduling: PodScheduling, node: NodeState) -> tuple[Refusal, ...]:
    """Every resource the node has too little of, and the number of pods. A pod that requests nothing needs none free."""
    refusals = []
    allowed = node.allocatable.get("pods", 0)
    if allowed is not None and len(node.pods) + 1 > allowed:
        refusals.append(reasons.TOO_MANY_PODS)
    for name, needed in scheduling.requests.items():
        free = node.free(name)
        if needed and free is not None and needed > free and counted(name):
            refusals.append(reasons.insufficient(name))
    return tuple(refusals)


def unknown_resources(scheduling: PodScheduling, node: NodeState, state: ClusterState) -> list[str]:
    """Requested resources whose free amount on this node is unknown."""
    return [
        name
        for name, needed in scheduling.requests.items()
        if needed is None or (counted(name) and node.free(name) is None and not state.through_dra(name, node))
    ]


def counted(name: str) -> bool:
    """Returns whether the scheduler compares requests of this resource (others, such as `storage`, it ignores)."""
    return name in ("cpu", "memory", "ephemeral-storage") or "/" in name or name.startswith(("hugepages-", "attachable-volumes-"))
