"""How long a node that was seen joining took from kubelet Ready to its first good verdict."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from fleet.domain.evaluation.node_evaluation import NodeEvaluation
from fleet.domain.readiness.types import Verdict
from fleet.models import Node
from fleet.services.recording.nodes import Changed

_GOOD = (Verdict.READY, Verdict.DEGRADED)


def record(changed: Sequence[Changed], at: datetime, *, seen_joining: bool) -> None:
    """Records how long new nodes took to become ready. `seen_joining`: the previous run was recent, so a new node joined now.

    A node of the first run, or one that joined while the cluster was unreachable, has no known moment of joining and so no
    bootstrap time.
    """
    new = {item.pk for item in changed if item.is_new and seen_joining}
    if new:
        Node.objects.filter(pk__in=new).update(bootstrapping=True)
    rows = Node.objects.filter(pk__in=[entry.pk for entry in changed], bootstrapping=True) if changed else []
    judged = {row.pk: row.judged for row in changed}
    written = []
    for node in rows:
        result = judged[node.pk]
        ready_at = _kubelet_ready_at(result, at)
        if node.kubelet_ready_at is None and ready_at is None:
            continue
        node.kubelet_ready_at = node.kubelet_ready_at or ready_at
        if result.readiness.verdict in _GOOD:
            node.gpu_ready_at, node.bootstrapping = at, False
        written.append(node)
    Node.objects.bulk_update(written, ("kubelet_ready_at", "gpu_ready_at", "bootstrapping"), batch_size=500)


def _kubelet_ready_at(node_evaluation: NodeEvaluation, at: datetime) -> datetime | None:
    """Returns the transition of the Ready condition, never later than `at`: the cluster's clock may be ahead of Muster's."""
    ready = next((c for c in node_evaluation.node.conditions if c.type == "Ready" and c.status == "True"), None)
    return min(ready.last_transition_at or at, at) if ready else None
