"""Explains on which nodes pods of one template can be scheduled, and what excludes the others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import msgspec

from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.pod_changes import PodChange, change_for, lower_requests
from fleet.domain.placement.scheduler.devices import HAS_DEVICES, ClusterClaims
from fleet.domain.placement.scheduler.messages import groups_of, parse_message
from fleet.domain.placement.scheduler.node_filters import counted
from fleet.domain.placement.scheduler.pod_evaluation import PodEvaluation, evaluate
from fleet.domain.placement.scheduler.reasons import Refusal
from fleet.domain.placement.scheduler.state import ClusterState, dra_view, scheduling_of
from fleet.domain.snapshot import PodSnapshot

_ORDER = (
    *("admission", "gate", "unschedulable", "taint", "selector", "affinity", "host_port", "resources"),
    *("volume", "topology_spread", "pod_affinity", "dra", "quota"),
)
"""Groups of reasons, as the scheduler asks."""
MOST_SIMULATED = 64
"""Replicas that are placed one after the other, where each changes what the next one meets; whether more fit is unknown."""


class ClusterView(msgspec.Struct, frozen=True):
    """A cluster with its nodes, as the scheduler and the readiness ladder read them."""

    name: str
    state: ClusterState
    nodes: dict[str, PlacementNode]


class ReasonGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes excluded by the same check."""

    id: str
    text: str
    nodes: tuple[tuple[str, str], ...]
    """Cluster and name."""
    opens: int | None = None
    """Nodes that would take the pod after the one change; None where no change of the pod helps or it is unknown."""
    change: PodChange | None = None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    fits: bool | None
    headline: str
    replicas: int
    """Requested replicas that can be scheduled now, all in one cluster."""
    total: int
    feasible: tuple[tuple[str, str], ...]
    landing: tuple[tuple[str, str], ...] = ()
    """Possible nodes of the replicas, one each; the scheduler may choose others."""
    reasons: tuple[ReasonGroup, ...] = ()
    not_modelled: tuple[str, ...] = ()
    unknown: int = 0
    """Nodes of which it is unknown whether they take the pod."""

    def suggestions(self) -> list[ReasonGroup]:
        """Groups with a change that opens nodes, the most effective first."""
        return sorted((group for group in self.reasons if group.opens), key=lambda group: -(group.opens or 0))


def explain(pod: PodSnapshot, replicas: int, clusters: Sequence[ClusterView]) -> Explanation:
    """Evaluates the pod on every node of the clusters and groups the reasons."""
    evaluations = [(view, evaluate(pod, view.state)) for view in clusters]
    feasible = tuple((view.name, name) for view, values in evaluations for name in values.fitting)
    unknown = sum(len(value.unknown) for _, value in evaluations)
    gaps = tuple(dict.fromkeys(gap for _, item in evaluations for gap in item.not_modelled))
    best, landing = _best_cluster(pod, max(replicas, 1), evaluations)
    fits: bool | None = bool(landing) and len(landing) >= replicas
    cut_short = len(landing) == MOST_SIMULATED < replicas and _meets_others(pod)
    if cut_short:
        gaps = (*gaps, f"replicas beyond {MOST_SIMULATED} that depend on where the others are")
    if not fits and (unknown or cut_short or not clusters):
        fits = None
    total = sum(len(view.state.nodes) for view in clusters)
    groups = _groups(pod, evaluations)
    explanation = Explanation(
        fits=fits,
        headline="",
        replicas=min(len(landing), max(replicas, 1)),
        total=total,
        feasible=feasible,
        landing=landing,
        reasons=groups,
        not_modelled=gaps,
        unknown=unknown,
    )
    return msgspec.structs.replace(explanation, headline=_headline(explanation, replicas, best))


def _best_cluster(
    pod: PodSnapshot, replicas: int, evaluations: Sequence[tuple[ClusterView, PodEvaluation]]
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Returns the cluster with room for most of the replicas, and a node for each."""
    best: tuple[str, tuple[tuple[str, str], ...]] = ("", ())
    for view, values in evaluations:
        if values.fitting:
            nodes = _land(pod, replicas, view.state, values)
            if len(nodes) > len(best[1]):
                best = view.name, tuple((view.name, node) for node in nodes)
            if len(nodes) >= replicas:
                break
    return best


def _land(pod: PodSnapshot, replicas: int, state: ClusterState, pod_evaluation: PodEvaluation) -> list[str]:
    """Returns a node for each replica with room, fullest nodes first."""
    if replicas == 1:
        return [min(pod_evaluation.fitting, key=lambda name: (_room(pod, state, name), name))]
    if not _meets_others(pod):
        landed: list[str] = []
        claims = state.claims.copy()
        for name in sorted(pod_evaluation.fitting, key=lambda name: (_room(pod, state, name), name)):
            room = min(_room(pod, state, name), replicas - len(landed))
            if room and state.needs_devices(pod, state.nodes[name]):
                room = _hold(pod, state, claims, name, room)
            landed += [name] * room
        return landed
    landed = []
    current = state
    for number in range(min(replicas, MOST_SIMULATED)):
        fitting = evaluate(pod, current).fitting
        if not fitting:
            break
        landed.append(min(fitting, key=lambda name: (_room(pod, current, name), name)))
        copy = msgspec.structs.replace(pod, uid=f"{pod.uid}#{number}", node_name=landed[-1], phase="Pending")
        current = current.with_pod(landed[-1], copy)
    return landed


def _meets_others(pod: PodSnapshot) -> bool:
    """Returns whether a replica's node depends on where the others are, beyond the resources that they take."""
    scheduling = scheduling_of(pod)
    return bool(
        scheduling.affinity or scheduling.anti_affinity or scheduling.spread or scheduling.volume_claims or scheduling.ports
    )


def _hold(pod: PodSnapshot, state: ClusterState, claims: ClusterClaims, name: str, most: int) -> int:
    """Returns for how many such pods the node has devices, up to `most`, and holds them in `claims`."""
    asked = claims.asked(pod, scheduling_of(pod))
    if isinstance(asked, str):
        return 0
    for number in range(most):
        if claims.hold(asked, *dra_view(state.nodes[name])) != HAS_DEVICES:
            return number
    return most


def _room(pod: PodSnapshot, state: ClusterState, name: str) -> int:
    """Returns how many such pods fit into the node's free resources."""
    node = state.nodes[name]
    rooms = [max((node.allocatable.get("pods") or 0) - len(node.pods), 0)]
    rooms += [
        max(node.free(resource) or 0, 0) // needed
        for resource, needed in scheduling_of(pod).requests.items()
        if needed and counted(resource) and not state.through_dra(resource, node)
    ]
    return min(rooms)


def _groups(pod: PodSnapshot, evaluations: Sequence[tuple[ClusterView, PodEvaluation]]) -> tuple[ReasonGroup, ...]:
    """Returns the nodes by the check that excludes them, in the scheduler's order, each with the change that opens most."""
    nodes: dict[tuple[str, str], list[tuple[ClusterView, str]]] = defaultdict(list)
    changes: dict[tuple[str, str], PodChange | None] = {}
    for view, values in evaluations:
        if values.refused:
            nodes[values.refused_id, values.refused] += [(view, name) for name in view.state.nodes]
            continue
        for name, refusals in values.nodes.items():
            if refusals:
                key, change = change_for(pod, view.state.nodes[name], refusals)
                nodes[key].append((view, name))
                changes.setdefault(key, change)
    groups = []
    for key, members in nodes.items():
        change = changes.get(key)
        if key[0] == "resources":
            change = lower_requests(scheduling_of(pod), [view.state.nodes[name] for view, name in members])
        groups.append(
            ReasonGroup(
                id=key[0],
                text=key[1],
                nodes=tuple((view.name, name) for view, name in members),
                opens=None if change is None else _opened(pod, change, members),
                change=change,
            )
        )
    return tuple(sorted(groups, key=lambda group: (_ORDER.index(group.id), -len(group.nodes), group.text)))


def _opened(pod: PodSnapshot, change: PodChange, members: Sequence[tuple[ClusterView, str]]) -> int:
    """Returns how many of these nodes take the pod after the change."""
    changed = msgspec.structs.replace(pod, scheduling=change.scheduling)
    by_view: dict[str, tuple[ClusterView, list[str]]] = {}
    for view, name in members:
        by_view.setdefault(view.name, (view, []))[1].append(name)
    return sum(len(evaluate(changed, view.state, names).fitting) for view, names in by_view.values())


def _headline(explanation: Explanation, replicas: int, cluster: str) -> str:
    wanted = "the pod" if replicas <= 1 else f"{replicas:,} replicas"
    refused = next((group for group in explanation.reasons if group.id in ("admission", "gate")), None)
    if explanation.total == 0:
        return "No GPU nodes are known."
    if refused is not None:
        return f"Does not land: {refused.text}"
    if explanation.fits:
        lands = "Fits now" if replicas <= 1 else f"All {replicas:,} replicas fit now"
        return (
            f"{lands}: {_nodes(len(explanation.feasible))} of {explanation.total:,} can take {'it' if replicas <= 1 else 'them'}."
        )
    if explanation.fits is None:
        why = f" It depends on {explanation.not_modelled[0]}." if explanation.not_modelled else ""
        return f"Unknown whether {wanted} {'fits' if replicas <= 1 else 'fit'} now.{why}"
    if explanation.landing:
        return f"Only {explanation.replicas:,} of {replicas:,} replicas fit now, in cluster {cluster}."
    suggested = explanation.suggestions()
    if suggested and suggested[0].change is not None:
        return f"Fits nowhere now. {suggested[0].change.title} would open {_nodes(suggested[0].opens or 0)}."
    return "Fits nowhere now, and no single change to the pod opens a node."


def _nodes(number: int) -> str:
    return f"{number:,} node" if number == 1 else f"{number:,} nodes"


def compare_with_scheduler(message: str, pod_evaluation: PodEvaluation, *, whole: bool) -> bool | None:
    """Returns whether the scheduler's last message and the evaluation agree; None where they cannot be compared.

    Nodes without GPUs are in the scheduler's count and not in Muster's: then only the GPU nodes' answer is compared.
    """
    parsed = parse_message(message)
    if parsed is None:
        return None
    if pod_evaluation.fits is None:
        return None
    if pod_evaluation.fits:
        return False
    total, groups = parsed
    if whole and total == len(pod_evaluation.nodes):
        return Counter(groups) == groups_of(pod_evaluation)
    own = groups_of(pod_evaluation)
    if total < len(pod_evaluation.nodes):
        return False
    return all(number <= groups.get(text, 0) for text, number in own.items())


__all__ = ["ClusterView", "Explanation", "ReasonGroup", "Refusal", "compare_with_scheduler", "explain"]
