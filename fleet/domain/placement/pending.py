"""Pods that wait for a node, by what keeps them waiting, and the one change that would let most of them land."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta

import msgspec

from fleet.domain.placement.explain import ClusterView, Explanation, ReasonGroup, explain
from fleet.domain.pod_resources import gpu_requests, wants_gpu
from fleet.domain.snapshot import PodSnapshot

FITS, UNKNOWN, NOT_EVALUATED, NO_NODES = "fits", "unknown", "not_evaluated", "no_nodes"
"""Ids beside those of the scheduler's checks."""
MOST_EVALUATIONS = 60_000
"""Nodes that are looked at for all pods together: 12 different pods on 5,000 nodes, 400 on 150. Pods alike are asked once."""
AGES: tuple[tuple[str, timedelta | None], ...] = (
    ("under 5 min", timedelta(minutes=5)),
    ("5 min to 1 h", timedelta(hours=1)),
    ("1 h to 1 day", timedelta(days=1)),
    ("over 1 day", None),
)
"""Name and end of each range of waiting time."""
_encode = msgspec.json.Encoder(order="deterministic").encode


class PendingReason(msgspec.Struct, frozen=True):
    """Why a pod waits: the check nearest to landing, as an id and a sentence."""

    id: str
    text: str


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """One pod that waits, and the engine's answer about it."""

    cluster: str
    pod: PodSnapshot
    reason: PendingReason
    explanation: Explanation | None = None
    """None where the pod was not evaluated."""

    @property
    def change(self) -> ReasonGroup | None:
        """Returns the group of nodes that the most effective change of the pod opens; None where no change does."""
        suggestions = self.explanation.suggestions() if self.explanation and self.explanation.fits is False else []
        return suggestions[0] if suggestions else None


class FreeingChange(msgspec.Struct, frozen=True, kw_only=True):
    """One change, and the pods that would each find a node by it."""

    title: str
    """As the start of a sentence: "Tolerating … "."""
    patch: str
    pods: int
    nodes: int
    """The most nodes that it opens for one of them."""


def is_waiting(pod: PodSnapshot) -> bool:
    """Returns whether the pod wants GPUs and is bound to no node."""
    return not pod.node_name and pod.phase == "Pending" and (wants_gpu(pod) or bool(gpu_requests(pod)))


def explain_waiting(pods: Sequence[tuple[str, PodSnapshot]], clusters: Iterable[ClusterView]) -> list[Waiting]:
    """Returns the answer about each pod (cluster and pod), in the order given. Pods that are alike are evaluated once."""
    views = {view.name: view for view in clusters}
    alike: dict[bytes, list[int]] = defaultdict(list)
    for position, (cluster, pod) in enumerate(pods):
        labels = (pod.labels, [container.requests for container in pod.containers], pod.claims)
        alike[_encode((cluster, pod.namespace, pod.scheduling, labels))].append(position)
    answers: dict[int, Waiting] = {}
    left = MOST_EVALUATIONS
    for positions in sorted(alike.values(), key=lambda positions: (-len(positions), positions[0])):
        cluster, pod = pods[positions[0]]
        view = views.get(cluster)
        explanation = None
        if view is None:
            reason = PendingReason(NO_NODES, "No GPU nodes of its cluster are known.")
        elif left < len(view.state.nodes):
            reason = PendingReason(NOT_EVALUATED, "Not evaluated: too many different pods wait.")
        else:
            left -= len(view.state.nodes)
            explanation = explain(pod, 1, [view])
            reason = main_reason(explanation)
        for position in positions:
            answers[position] = Waiting(cluster=cluster, pod=pods[position][1], reason=reason, explanation=explanation)
    return [answers[position] for position in range(len(pods))]


def main_reason(explanation: Explanation) -> PendingReason:
    """Returns why a pod with this answer waits.

    The group that its best change opens; without one, the last check, in the scheduler's order, that stopped a node: its nodes
    came nearest to taking the pod.
    """
    if explanation.fits:
        return PendingReason(FITS, "Fits now: the scheduler has not placed it yet.")
    if explanation.fits is None:
        gap = explanation.not_modelled[0] if explanation.not_modelled else "pods and nodes that are not collected"
        return PendingReason(UNKNOWN, f"Unknown: it depends on {gap}.")
    suggestions = explanation.suggestions()
    groups = suggestions[:1] or explanation.reasons[-1:]
    return PendingReason(groups[0].id, groups[0].text) if groups else PendingReason(NO_NODES, "No GPU nodes are known.")


def freeing_changes(waiting: Iterable[Waiting]) -> list[FreeingChange]:
    """Returns every change that would let a pod land, the one for most pods first. Each pod is looked at by itself."""
    changes: dict[str, FreeingChange] = {}
    for row in waiting:
        if row.explanation is None or row.explanation.fits is not False:
            continue
        for group in row.explanation.suggestions():
            if group.change is not None:
                before = changes.get(group.change.title)
                changes[group.change.title] = FreeingChange(
                    title=group.change.title,
                    patch=group.change.patch,
                    pods=(before.pods if before else 0) + 1,
                    nodes=max(before.nodes if before else 0, group.opens or 0),
                )
    return sorted(changes.values(), key=lambda change: (-change.pods, -change.nodes, change.title))


def age_range(waited: timedelta | None) -> str:
    """Returns the name of the range that a waiting time is in; "unknown" without one."""
    if waited is None:
        return "unknown"
    return next(name for name, end in AGES if end is None or waited < end)
