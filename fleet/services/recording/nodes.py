"""Node rows: new, changed, gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.db import connection

from fleet.domain.evaluation.node_evaluation import NodeEvaluation
from fleet.domain.findings import worst_severity
from fleet.domain.snapshot import ClusterSnapshot
from fleet.models import Cluster, Node, NodeRevision
from fleet.models.statements import statement
from fleet.services import periods
from fleet.services.missing_labels import LABELS_MISSING

BATCH = 500


class Known(NamedTuple):
    """The parts of a node's row that show whether it changed."""

    pk: int
    name: str
    fingerprint: str
    state: str
    state_since: datetime
    labels_missing_since: datetime | None
    boot_id: str
    booted_at: datetime | None
    booted_after: datetime | None
    known_uuids: list[str]
    pending: dict[str, str]
    removed: bool


class Changed(NamedTuple):
    """A node with a row that was written in this run."""

    pk: int
    judged: NodeEvaluation
    is_new: bool


def known(cluster: Cluster) -> dict[str, Known]:
    """Uid to the stored state of every node this cluster ever had."""
    rows = Node.objects.filter(cluster=cluster).values_list(
        "uid", "pk", "name", "fingerprint", "state", "state_since", "labels_missing_since",
        "boot_id", "booted_at", "booted_after", "known_uuids", "pending", "removed_at",
    )  # fmt: skip
    return {row[0]: Known(*row[1:-1], removed=row[-1] is not None) for row in rows}


def remove_gone(
    cluster: Cluster, snapshot: ClusterSnapshot, judged: Sequence[NodeEvaluation], remembered: Mapping[str, Known]
) -> list[int]:
    """Gives `removed_at` to nodes that left, and returns their ids.

    An incomplete list removes none, except a node with a name that another uid has now: that one certainly no longer exists.
    """
    present = {item.node.uid for item in judged}
    reborn = {entry.node.name for entry in judged if entry.node.uid not in remembered}
    whole = snapshot.is_fresh("nodes")
    gone = [row.pk for uid, row in remembered.items() if not row.removed and uid not in present and (whole or row.name in reborn)]
    if gone:
        # Without a fingerprint of its pods, a node that comes back gets them back: they are removed with it.
        Node.objects.filter(pk__in=gone).update(removed_at=snapshot.taken_at, pods_fingerprint="")
        periods.close_all(NodeRevision.objects.filter(node__in=gone), snapshot.taken_at)
    return gone


def upsert_changed(
    cluster: Cluster, snapshot: ClusterSnapshot, judged: Sequence[NodeEvaluation], remembered: Mapping[str, Known]
) -> list[Changed]:
    """Writes the rows of new and changed nodes and returns them."""
    changed = [item for item in judged if _differs(item, remembered.get(item.node.uid))]
    rows = [_row(cluster, entry, remembered.get(entry.node.uid), snapshot) for entry in changed]
    written = Node.objects.bulk_create(
        rows, batch_size=BATCH, update_conflicts=True, unique_fields=["cluster", "uid"], update_fields=_UPDATED
    )
    return [Changed(row.pk, value, is_new=value.node.uid not in remembered) for row, value in zip(written, changed, strict=True)]


def keep_pending(judged: Sequence[NodeEvaluation], remembered: Mapping[str, Known], changed: Sequence[Changed]) -> None:
    """Writes what does not count yet of nodes that did not change.

    It comes and goes between runs (power of a GPU that is equal in two runs) and is not a change of the node.
    One statement, and none where it is as it was.
    """
    written = {item.judged.node.uid for item in changed}
    differing = [
        (remembered[entry.node.uid].pk, msgspec.json.encode(entry.pending).decode())
        for entry in judged
        if entry.node.uid not in written and remembered[entry.node.uid].pending != plain(entry.pending)
    ]
    if differing:
        ids, pending = zip(*differing, strict=True)
        with connection.cursor() as cursor:
            cursor.execute(statement(_KEEP_PENDING, nodes=Node), [list(ids), list(pending)])


_KEEP_PENDING = """
    UPDATE {nodes} AS node SET pending = newer.pending::jsonb
    FROM unnest(%s::bigint[], %s::text[]) AS newer (id, pending) WHERE node.id = newer.id
"""


def _differs(node_evaluation: NodeEvaluation, row: Known | None) -> bool:
    return row is None or row.removed or row.fingerprint != node_evaluation.fingerprint


def _row(cluster: Cluster, node_evaluation: NodeEvaluation, before: Known | None, snapshot: ClusterSnapshot) -> Node:
    node, devices, figures, slots, at = (
        node_evaluation.node,
        node_evaluation.devices,
        node_evaluation.figures,
        node_evaluation.figures.slots,
        snapshot.taken_at,
    )
    return Node(
        cluster=cluster,
        name=node.name,
        uid=node.uid,
        created_at=node.created_at,
        machine_type=figures.machine_type,
        zone=figures.zone,
        vendor=figures.vendor,
        product=figures.product,
        family=figures.family,
        gpu_memory_mib=figures.gpu_memory_mib,
        driver_version=figures.driver_version,
        cuda_version=figures.cuda_version,
        kubelet_version=node.node_info.kubelet,
        physical=figures.physical,
        physical_source=figures.physical_source,
        most_seen=node_evaluation.most_seen,
        expected=figures.expected,
        expected_source=figures.expected_source,
        advertised_gpus=figures.advertised,
        partitioning=figures.partitioning,
        sharing=figures.sharing,
        replicas=figures.replicas,
        mode=figures.mode,
        isolation=figures.isolation,
        mig_instances=figures.mig_instances,
        mig_desired=devices.mig_desired,
        mig_state=devices.mig_state,
        slots_capacity=slots.capacity,
        slots_allocatable=slots.allocatable,
        slots_requested=slots.requested,
        slots_free=slots.free,
        state=figures.state,
        advertised=devices.advertised,
        reason=node_evaluation.reason,
        severity=worst_severity(devices.findings),
        kubelet_ready=figures.kubelet_ready,
        schedulable=figures.schedulable,
        labels=node.labels,
        taints=plain(node.taints),
        conditions=plain(node.conditions),
        products=list(devices.products),
        physical_is_lower_bound=devices.physical_is_lower_bound,
        device_findings=plain(devices.findings),
        evidence=plain(devices.evidence),
        dra_pools=plain(devices.dra_pools),
        stack=node_evaluation.stack,
        snapshot=plain(node),
        dra={"devices": plain(node_evaluation.dra_devices), "allocations": plain(node_evaluation.allocations)}
        if node_evaluation.dra_devices
        else {},
        fingerprint=node_evaluation.fingerprint,
        first_seen_at=at,
        changed_at=at,
        state_since=before.state_since if before and not before.removed and before.state == figures.state else at,
        labels_missing_since=_labels_missing_since(node_evaluation, before, at),
        boot_id=node.node_info.boot_id,
        booted_at=_booted_at(node_evaluation, before, at),
        booted_after=_booted_after(node_evaluation, before, cluster.read_at),
        known_uuids=before.known_uuids if before else [],
        rungs=plain(node_evaluation.readiness.rungs),
        pending=plain(node_evaluation.pending),
        **_first_verdict(node_evaluation, at),
        removed_at=None,
    )


def _labels_missing_since(node_evaluation: NodeEvaluation, before: Known | None, at: datetime) -> datetime | None:
    if all(finding.rule != LABELS_MISSING for finding in node_evaluation.devices.findings):
        return None
    return (before.labels_missing_since if before else None) or at


def _booted_at(node_evaluation: NodeEvaluation, before: Known | None, at: datetime) -> datetime | None:
    if before is None or not before.boot_id or not node_evaluation.node.node_info.boot_id:
        return before.booted_at if before else None
    return before.booted_at if before.boot_id == node_evaluation.node.node_info.boot_id else at


def _booted_after(node_evaluation: NodeEvaluation, before: Known | None, read_at: datetime | None) -> datetime | None:
    if before is None:
        return None
    boot_id = node_evaluation.node.node_info.boot_id
    return read_at if before.boot_id and boot_id and before.boot_id != boot_id else before.booted_after


def _first_verdict(node_evaluation: NodeEvaluation, at: datetime) -> dict[str, Any]:
    """The verdict of a node that is new; on a known row it is written by recording/verdicts.py alone."""
    figures, readiness = node_evaluation.figures, node_evaluation.readiness
    return {
        "verdict": figures.verdict,
        "broken_rung": figures.broken_rung,
        "verdict_reason": readiness.reason,
        "verdict_remedy": readiness.remedy,
        "verdict_since": at,
        "reached": figures.reached,
        "usable": figures.usable,
        "flapping": figures.flapping,
    }


_VERDICT = {
    "verdict", "broken_rung", "verdict_reason", "verdict_remedy", "verdict_since", "reached", "usable", "flapping",
}  # fmt: skip
_KEPT = {
    "id", "cluster", "uid", "first_seen_at", "pods_fingerprint", "bootstrapping", "kubelet_ready_at", "gpu_ready_at", *_VERDICT,
}  # fmt: skip
_UPDATED = [field.name for field in Node._meta.concrete_fields if field.name not in _KEPT]


def plain(value: Any) -> Any:
    """A struct as the JSON types that a JSON column takes and gives back: lists, not tuples, so that the two compare."""
    return msgspec.json.decode(msgspec.json.encode(value))
