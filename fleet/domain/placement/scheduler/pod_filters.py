"""Filters that look at other pods: topology spread, pod affinity and anti-affinity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from fleet.domain.label_selectors import Requirement, matches
from fleet.domain.placement.scheduler import reasons
from fleet.domain.placement.scheduler.node_filters import matches_node, untolerated
from fleet.domain.placement.scheduler.reasons import Refusal
from fleet.domain.placement.scheduler.state import ClusterState, NodeState, scheduling_of
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.snapshot.scheduling import PodScheduling, PodTerm, SpreadConstraint

Filter = Callable[[NodeState], tuple[Refusal, ...] | None]
"""The refusals of one node; None where they are unknown."""
_HOSTNAME = "kubernetes.io/hostname"
_GPU_LABELS = ("nvidia.com/gpu.", "nvidia.com/cuda.", "nvidia.com/mig.", "amd.com/gpu.")


def selects(term: PodTerm, owner: str, pod: PodSnapshot, state: ClusterState) -> bool | None:
    """Returns whether a term of a pod in namespace `owner` selects this pod.

    None where namespace labels are needed and unknown.
    """
    if term.selector is None or not matches(term.selector, pod.labels):
        return False
    if pod.namespace in term.namespaces:
        return True
    if term.namespace_selector is None:
        return not term.namespaces and pod.namespace == owner
    if not term.namespace_selector:
        return True
    labels = state.namespace_labels(pod.namespace)
    return None if labels is None else matches(term.namespace_selector, labels)


def _pods(state: ClusterState) -> Iterator[tuple[NodeState, PodSnapshot]]:
    for node in state.nodes.values():
        for pod in node.pods:
            yield node, pod


class _Matches:
    """Topology labels, as key and value, of nodes with a pod that the terms select, and with one of which it is unknown."""

    def __init__(self) -> None:
        self.selected: set[tuple[str, str]] = set()
        self.unsure: set[tuple[str, str]] = set()


def pod_affinity(pod: PodSnapshot, scheduling: PodScheduling, state: ClusterState) -> Filter:
    """Returns the required affinity: each term's label must be shared with a pod that matches all terms."""
    terms = scheduling.affinity
    matched = _Matches()
    for node, other in _pods(state):
        answers = [selects(term, pod.namespace, other, state) for term in terms]
        if False in answers:
            continue
        for term in terms:
            value = node.labels.get(term.topology_key)
            if value is not None:
                (matched.unsure if None in answers else matched.selected).add((term.topology_key, value))
    own = [selects(term, pod.namespace, pod, state) for term in terms]

    def ask(node: NodeState) -> tuple[Refusal, ...] | None:
        pairs = [(term.topology_key, node.labels[term.topology_key]) for term in terms if term.topology_key in node.labels]
        if len(pairs) < len(terms):
            return (reasons.POD_AFFINITY,)
        if matched.selected.issuperset(pairs):
            return ()
        if any(pair not in matched.selected and (pair in matched.unsure or not _visible(state, pair[0])) for pair in pairs):
            return None
        if not matched.selected and False not in own:
            # The first pod of a group with affinity to itself: there is no pod to join yet.
            return None if None in own or matched.unsure or not state.whole else ()
        return (reasons.POD_AFFINITY,)

    return ask


def pod_anti_affinity(pod: PodSnapshot, scheduling: PodScheduling, state: ClusterState) -> Filter:
    """Returns the required anti-affinity: no pod that a term selects may share that term's label."""
    terms = scheduling.anti_affinity
    matched = _Matches()
    for node, other in _pods(state):
        for term in terms:
            value = node.labels.get(term.topology_key)
            if value is not None:
                answer = selects(term, pod.namespace, other, state)
                if answer is not False:
                    (matched.unsure if answer is None else matched.selected).add((term.topology_key, value))

    def ask(node: NodeState) -> tuple[Refusal, ...] | None:
        pairs = [(term.topology_key, node.labels[term.topology_key]) for term in terms if term.topology_key in node.labels]
        if not matched.selected.isdisjoint(pairs):
            return (reasons.POD_ANTI_AFFINITY,)
        return None if any(pair in matched.unsure or not _visible(state, pair[0]) for pair in pairs) else ()

    return ask


def existing_anti_affinity(pod: PodSnapshot, state: ClusterState) -> Filter:
    """Returns the required anti-affinity of pods that run already, against this one."""
    refused: set[tuple[str, str]] = set()
    unsure: set[tuple[str, str]] = set()
    for node, other in state.with_anti_affinity:
        for term in scheduling_of(other).anti_affinity:
            value = node.labels.get(term.topology_key)
            if value is not None:
                answer = selects(term, other.namespace, pod, state)
                if answer is not False:
                    (unsure if answer is None else refused).add((term.topology_key, value))

    def ask(node: NodeState) -> tuple[Refusal, ...] | None:
        if any(node.labels.get(key) == value for key, value in refused):
            return (reasons.EXISTING_ANTI_AFFINITY,)
        return None if any(node.labels.get(key) == value for key, value in unsure) else ()

    return ask


def _visible(state: ClusterState, topology_key: str) -> bool:
    """Returns whether every pod that could share this label's value with a node is known: other nodes may be in the same zone."""
    return state.whole or topology_key == _HOSTNAME


def topology_spread(pod: PodSnapshot, scheduling: PodScheduling, state: ClusterState) -> Filter:
    """Hard topology spread: a domain may exceed the emptiest one by at most maxSkew."""
    constraints = scheduling.spread
    keys = [constraint.topology_key for constraint in constraints]
    eligible = [node for node in state.nodes.values() if all(key in node.labels for key in keys)]
    counts = [_domains(constraint, pod, scheduling, eligible) for constraint in constraints]
    lowest = [
        0 if len(by_value) < constraint.min_domains else min(by_value.values(), default=0)
        for constraint, by_value in zip(constraints, counts, strict=True)
    ]
    own = [constraint.selector is not None and matches(constraint.selector, pod.labels) for constraint in constraints]
    known = state.whole or (only_gpu_nodes(scheduling) and all(constraint.honor_affinity for constraint in constraints))

    def ask(node: NodeState) -> tuple[Refusal, ...] | None:
        for position, constraint in enumerate(constraints):
            value = node.labels.get(constraint.topology_key)
            if value is None:
                return (reasons.SPREAD_LABEL,)
            by_value = counts[position]
            if by_value and by_value.get(value, 0) + own[position] - lowest[position] > constraint.max_skew:
                return (reasons.SPREAD,) if known else None
        return () if known else None

    return ask


def only_gpu_nodes(scheduling: PodScheduling) -> bool:
    """Returns whether selector or affinity admit only nodes with a label of a GPU stack, all of which Muster collects."""
    if any(_is_gpu_label(requirement) for requirement in scheduling.selector):
        return True
    if not scheduling.terms:
        return False
    return all(any(_is_gpu_label(requirement) for requirement in term) for term in scheduling.terms)


def _is_gpu_label(requirement: Requirement) -> bool:
    return requirement.operator in ("in", "exists", "gt", "lt") and requirement.key.startswith(_GPU_LABELS)


def _domains(
    constraint: SpreadConstraint, pod: PodSnapshot, scheduling: PodScheduling, nodes: Iterable[NodeState]
) -> Mapping[str, int]:
    """Matching pods by domain, over the nodes that the constraint counts. Terminating pods do not count."""
    by_value: dict[str, int] = {}
    for node in nodes:
        if constraint.honor_affinity and not matches_node(scheduling, node):
            continue
        if constraint.honor_taints and untolerated(node.taints, scheduling.tolerations):
            continue
        value = node.labels[constraint.topology_key]
        number = 0
        if constraint.selector is not None:
            for other in node.pods:
                if (
                    other.namespace == pod.namespace
                    and other.deleting_since is None
                    and matches(constraint.selector, other.labels)
                ):
                    number += 1
        by_value[value] = by_value.get(value, 0) + number
    return by_value
