"""Pod rows: only pods of nodes with a changed set of pods are compared."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from fleet.domain.devices.pod_slots import pod_slots
from fleet.domain.evaluation.node_evaluation import NodeEvaluation, fingerprint
from fleet.domain.pod_resources import gpu_requests, holds
from fleet.domain.snapshot import ClusterSnapshot, PodSnapshot
from fleet.models import Cluster, Node, Pod
from fleet.services.recording.nodes import plain

_BATCH = 1_000
_KEPT = {"id", "cluster", "uid"}


def record(cluster: Cluster, snapshot: ClusterSnapshot, judged: Sequence[NodeEvaluation]) -> int:
    """Writes new and changed pods, marks those that are gone, and returns how many rows were written."""
    rows = {
        name: (pk, before)
        for name, pk, before in Node.objects.filter(cluster=cluster, removed_at__isnull=True).values_list(
            "name", "pk", "pods_fingerprint"
        )
    }
    homeless = [pod for pod in snapshot.pods if pod.node_name not in rows]
    pending = fingerprint(sorted(homeless, key=lambda pod: pod.uid)) if homeless else ""
    groups: list[tuple[int | None, str, Sequence[PodSnapshot]]] = []
    slots: dict[str, int | None] = {}
    claims_known = snapshot.knows("resource_claims")
    for item in judged:
        pk, before = rows[item.node.name]
        if before != item.pods_fingerprint:
            groups.append((pk, item.pods_fingerprint, item.pods))
            held = item.allocations if claims_known else None
            slots |= {pod.uid: pod_slots(pod, held, item.dra_devices) for pod in item.pods}
    if pending != cluster.pending_fingerprint:
        groups.append((None, pending, homeless))
        slots |= {pod.uid: pod_slots(pod, None, ()) for pod in homeless}
    if not groups:
        return 0

    seen = {pod.uid for pod in snapshot.pods}
    node_ids = [pk for pk, _, _ in groups if pk is not None]
    result = Q(node_id__in=node_ids) | (Q(node__isnull=True) if len(node_ids) < len(groups) else Q(pk__in=[]))
    known = {pod.uid: pod for pod in Pod.objects.filter(result, cluster=cluster, removed_at__isnull=True)}
    wanted = [_row(cluster, pk, pod, slots[pod.uid]) for pk, _, pods in groups for pod in pods]
    changed = [row for row in wanted if _differs(row, known.get(row.uid))]
    Pod.objects.bulk_create(
        changed,
        batch_size=_BATCH,
        update_conflicts=True,
        unique_fields=["cluster", "uid"],
        update_fields=[field.name for field in Pod._meta.concrete_fields if field.name not in _KEPT],
    )
    gone = [pod.pk for pod in known.values() if pod.uid not in seen] if snapshot.is_fresh("pods") else []
    if gone:
        Pod.objects.filter(pk__in=gone).update(removed_at=snapshot.taken_at, holds=False)
    Node.objects.bulk_update(
        [Node(pk=pk, pods_fingerprint=value) for pk, value, _ in groups if pk is not None],
        ["pods_fingerprint"],
        batch_size=_BATCH,
    )
    cluster.pending_fingerprint = pending
    return len(changed) + len(gone)


def leave_with(node_ids: Sequence[int], at: datetime) -> None:
    """Pods of removed nodes are removed with them; one that is still listed comes back as a pod without a node."""
    Pod.objects.filter(node_id__in=node_ids, removed_at__isnull=True).update(removed_at=at, holds=False)


def _row(cluster: Cluster, node_id: int | None, pod: PodSnapshot, slots: int | None) -> Pod:
    return Pod(
        cluster=cluster,
        node_id=node_id,
        uid=pod.uid,
        namespace=pod.namespace,
        name=pod.name,
        phase=pod.phase,
        ready=pod.ready,
        reason=pod.reason[:200],
        component=pod.component,
        requests=gpu_requests(pod),
        slots=slots,
        holds=holds(pod),
        created_at=pod.created_at,
        snapshot=plain(pod),
        removed_at=None,
    )


def _differs(row: Pod, before: Pod | None) -> bool:
    return before is None or before.node_id != row.node_id or before.snapshot != row.snapshot or before.slots != row.slots
