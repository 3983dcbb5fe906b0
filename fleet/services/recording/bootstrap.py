"""How long a node that was seen joining took from kubelet Ready to its first good verdict."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from fleet.domain.judgement import JudgedNode
from fleet.domain.readiness.types import Verdict
from fleet.models import Node
from fleet.services.recording.nodes import Changed

_GOOD = (Verdict.READY, Verdict.DEGRADED)


def record(changed: Sequence[Changed], at: datetime, *, seen_joining: bool) -> None:
    """`seen_joining`: the cluster was being read before, so that a new node came now, give or take one pass. One that was
    there at the first reading, or came while nobody read, came at a moment nobody knows: it has no bootstrap time."""
    new = {one.pk for one in changed if one.is_new and seen_joining}
    if new:
        Node.objects.filter(pk__in=new).update(bootstrapping=True)
    rows = Node.objects.filter(pk__in=[one.pk for one in changed], bootstrapping=True) if changed else []
    judged = {one.pk: one.judged for one in changed}
    written = []
    for node in rows:
        one = judged[node.pk]
        ready_at = _kubelet_ready_at(one, at)
        if node.kubelet_ready_at is None and ready_at is None:
            continue
        node.kubelet_ready_at = node.kubelet_ready_at or ready_at
        if one.readiness.verdict in _GOOD:
            node.gpu_ready_at, node.bootstrapping = at, False
        written.append(node)
    Node.objects.bulk_update(written, ("kubelet_ready_at", "gpu_ready_at", "bootstrapping"), batch_size=500)


def _kubelet_ready_at(one: JudgedNode, at: datetime) -> datetime | None:
    """As the Ready condition says; never after the moment it was seen, for the cluster's clock may be ahead of ours."""
    ready = next((c for c in one.node.conditions if c.type == "Ready" and c.status == "True"), None)
    return min(ready.last_transition_at or at, at) if ready else None
