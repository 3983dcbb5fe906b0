"""Node rows: new, changed, gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.db import connection
from django.db.models import Q

from fleet.domain.findings import worst_severity
from fleet.domain.gpu_nodes import machine_type, zone
from fleet.domain.judgement import JudgedNode
from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.sources import cloud
from fleet.models import Cluster, Node, NodeRevision
from fleet.services import expected
from fleet.services.last_truth import LABELS_MISSING

BATCH = 500


class Known(NamedTuple):
    """What is needed of a node's row to tell whether it changed."""

    pk: int
    name: str
    fingerprint: str
    state: str
    state_since: datetime
    most_seen: int | None
    expected: int | None
    labels_missing_since: datetime | None
    boot_id: str
    booted_at: datetime | None
    booted_after: datetime | None
    counted_by: str
    known_uuids: list[str]
    verdict: str
    broken_rung: str
    verdict_since: datetime | None
    pending: dict[str, str]
    removed: bool


class Changed(NamedTuple):
    """A node whose row was written in this pass."""

    pk: int
    judged: JudgedNode
    is_new: bool


def known(cluster: Cluster) -> dict[str, Known]:
    """Uid to what is remembered, of every node this cluster ever had."""
    rows = Node.objects.filter(cluster=cluster).values_list(
        "uid", "pk", "name", "fingerprint", "state", "state_since", "most_seen", "expected", "labels_missing_since",
        "boot_id", "booted_at", "booted_after", "physical_source", "known_uuids", "verdict", "broken_rung", "verdict_since",
        "pending", "removed_at",
    )  # fmt: skip
    return {row[0]: Known(*row[1:-1], removed=row[-1] is not None) for row in rows}


def remove_gone(
    cluster: Cluster, snapshot: ClusterSnapshot, judged: Sequence[JudgedNode], remembered: Mapping[str, Known]
) -> list[int]:
    """Gives `removed_at` to nodes that left, and returns their ids. A list that broke off removes none, except a node
    whose name is now borne by another uid: that one is gone for certain."""
    present = {one.node.uid for one in judged}
    reborn = {one.node.name for one in judged if one.node.uid not in remembered}
    whole = snapshot.is_fresh("nodes")
    gone = [row.pk for uid, row in remembered.items() if not row.removed and uid not in present and (whole or row.name in reborn)]
    if gone:
        Node.objects.filter(pk__in=gone).update(removed_at=snapshot.taken_at)
        close_revisions(gone, snapshot.taken_at)
    return gone


def close_revisions(node_ids: list[int], at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {NodeRevision._meta.db_table} SET period = tstzrange(lower(period), %s) "  # noqa: S608
            "WHERE node_id = ANY(%s) AND upper_inf(period)",
            [at, node_ids],
        )


def upsert_changed(
    cluster: Cluster, snapshot: ClusterSnapshot, judged: Sequence[JudgedNode], remembered: Mapping[str, Known]
) -> list[Changed]:
    """Writes the rows of new and changed nodes and returns them."""
    changed = [one for one in judged if _differs(one, remembered.get(one.node.uid))]
    rows = [_row(cluster, one, remembered.get(one.node.uid), snapshot) for one in changed]
    written = Node.objects.bulk_create(
        rows, batch_size=BATCH, update_conflicts=True, unique_fields=["cluster", "uid"], update_fields=_UPDATED
    )
    return [Changed(row.pk, one, is_new=one.node.uid not in remembered) for row, one in zip(written, changed, strict=True)]


def keep_pending(judged: Sequence[JudgedNode], remembered: Mapping[str, Known], changed: Sequence[Changed]) -> None:
    """Writes what does not count yet of nodes that did not change: it comes and goes from look to look (a card's power that
    two looks find the same), and is no change that anybody need see. One statement, and none where it is as it was."""
    written = {one.judged.node.uid for one in changed}
    differing = [
        (remembered[one.node.uid].pk, msgspec.json.encode(one.pending).decode())
        for one in judged
        if one.node.uid not in written and remembered[one.node.uid].pending != plain(one.pending)
    ]
    if differing:
        ids, pending = zip(*differing, strict=True)
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {Node._meta.db_table} AS node SET pending = told.pending::jsonb "  # noqa: S608 a table's own name
                "FROM unnest(%s::bigint[], %s::text[]) AS told (id, pending) WHERE node.id = told.id",
                [list(ids), list(pending)],
            )


def _differs(one: JudgedNode, row: Known | None) -> bool:
    return row is None or row.removed or row.fingerprint != one.fingerprint


def _row(cluster: Cluster, one: JudgedNode, before: Known | None, snapshot: ClusterSnapshot) -> Node:
    node, devices, slots, at = one.node, one.devices, one.devices.slots, snapshot.taken_at
    counted = _counted(one, snapshot)
    return Node(
        cluster=cluster,
        name=node.name,
        uid=node.uid,
        created_at=node.created_at,
        machine_type=machine_type(node.labels),
        zone=zone(node.labels),
        vendor=devices.vendor,
        product=devices.product,
        family=devices.family,
        gpu_memory_mib=devices.gpu_memory_mib,
        driver_version=devices.driver_version,
        cuda_version=devices.cuda_version,
        kubelet_version=node.node_info.kubelet,
        physical=devices.physical,
        physical_source=devices.physical_source,
        most_seen=max((n for n in (counted, _counted_before(one, before)) if n is not None), default=None),
        expected=before.expected if before else None,
        offered=one.offered,
        partitioning=devices.partitioning or "",
        sharing=devices.sharing or "",
        replicas=devices.replicas,
        mode=devices.mode,
        isolation=devices.isolation,
        mig_instances=devices.mig_instances,
        mig_desired=devices.mig_desired,
        mig_state=devices.mig_state,
        slots_capacity=slots.capacity,
        slots_allocatable=slots.allocatable,
        slots_requested=slots.requested,
        slots_free=slots.free,
        state=one.state,
        advertised=devices.advertised,
        reason=one.reason,
        severity=worst_severity(devices.remarks),
        kubelet_ready=one.kubelet_ready,
        schedulable=not node.unschedulable,
        labels=node.labels,
        taints=plain(node.taints),
        conditions=plain(node.conditions),
        info=plain(devices),
        stack=one.stack,
        snapshot=plain(node),
        dra={"devices": plain(one.dra_devices), "allocations": plain(one.allocations)} if one.dra_devices else {},
        fingerprint=one.fingerprint,
        first_seen_at=at,
        changed_at=at,
        state_since=before.state_since if before and not before.removed and before.state == one.state else at,
        labels_missing_since=_labels_missing_since(one, before, at),
        boot_id=node.node_info.boot_id,
        booted_at=_booted_at(one, before, at),
        booted_after=_booted_after(one, before, cluster.read_at),
        known_uuids=before.known_uuids if before else [],
        **_readiness(one, before, at),
        removed_at=None,
    )


def _counted(one: JudgedNode, snapshot: ClusterSnapshot) -> int | None:
    """Physical GPUs to learn from; None where the source is incomplete: a lower bound, or slots taken for cards while
    nobody could read how the device plugin shares them (Intel's tells it nowhere). What the machine was ordered with counts
    where it is more."""
    devices = one.devices
    if devices.physical is None or devices.physical_is_lower_bound:
        return None
    sharing_known = snapshot.section("device_plugin_config").complete and devices.vendor != "intel"
    if devices.physical_source == "capacity" and not sharing_known:
        return None
    fewer = any(remark.id == "fewer_than_ordered" for remark in devices.remarks)
    ordered = (cloud.read(one.node.labels).count if fewer else None) or 0
    return max(devices.physical, ordered)


def _counted_before(one: JudgedNode, before: Known | None) -> int | None:
    """The most seen so far; None where that were slots taken for cards, and a better source counts the cards now."""
    if before is None:
        return None
    better = one.devices.physical is not None and one.devices.physical_source != "capacity"
    return None if better and before.counted_by == "capacity" else before.most_seen


def _labels_missing_since(one: JudgedNode, before: Known | None, at: datetime) -> datetime | None:
    if all(remark.id != LABELS_MISSING for remark in one.devices.remarks):
        return None
    return (before.labels_missing_since if before else None) or at


def _booted_at(one: JudgedNode, before: Known | None, at: datetime) -> datetime | None:
    if before is None or not before.boot_id or not one.node.node_info.boot_id:
        return before.booted_at if before else None
    return before.booted_at if before.boot_id == one.node.node_info.boot_id else at


def _booted_after(one: JudgedNode, before: Known | None, read_at: datetime | None) -> datetime | None:
    if before is None:
        return None
    here = one.node.node_info.boot_id
    return read_at if before.boot_id and here and before.boot_id != here else before.booted_after


def _readiness(one: JudgedNode, before: Known | None, at: datetime) -> dict[str, Any]:
    readiness = one.readiness
    since = at
    if (
        before is not None
        and not before.removed
        and (before.verdict, before.broken_rung) == (readiness.verdict, readiness.broken_rung)
    ):
        since = before.verdict_since or at
    return {
        "verdict": readiness.verdict,
        "broken_rung": readiness.broken_rung,
        "verdict_reason": readiness.reason,
        "verdict_remedy": readiness.remedy,
        "verdict_since": since,
        "reached": readiness.reached,
        "usable": readiness.usable,
        "flapping": readiness.flapping,
        "rungs": plain(readiness.rungs),
        "pending": plain(one.pending),
    }


_KEPT = {"id", "cluster", "uid", "first_seen_at", "pods_fingerprint", "bootstrapping", "kubelet_ready_at", "gpu_ready_at"}
_UPDATED = [field.name for field in Node._meta.concrete_fields if field.name not in _KEPT]


def plain(value: Any) -> Any:
    """A struct as the JSON types that a JSON column takes and gives back: lists, not tuples, so that the two compare."""
    return msgspec.json.decode(msgspec.json.encode(value))


def learn_expected(cluster: Cluster) -> None:
    """Expected physical GPUs: what somebody declared, else the most ever seen on the same machine type and product; where
    a node tells neither, the most ever seen on that node itself. Statements that write only what differs."""
    alive = Q(cluster=cluster, removed_at__isnull=True)
    if not Node.objects.filter(alive).exists():
        return
    declared = _declared(cluster, alive)
    table = Node._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE {table} AS node SET expected = learned.most
            FROM (
                SELECT one.id, CASE WHEN one.machine_type = '' OR one.product = '' THEN one.most_seen
                                    ELSE shape.most END AS most
                FROM {table} AS one
                LEFT JOIN (SELECT machine_type, product, max(most_seen) AS most FROM {table} GROUP BY 1, 2) AS shape
                    ON shape.machine_type = one.machine_type AND shape.product = one.product
                WHERE one.cluster_id = %s AND one.removed_at IS NULL AND NOT one.id = ANY(%s)
            ) AS learned
            WHERE node.id = learned.id AND node.expected IS DISTINCT FROM learned.most
            """,  # noqa: S608 a table's own name
            [cluster.pk, list(declared)],
        )
    for count in sorted(set(declared.values())):
        ids = [pk for pk, its in declared.items() if its == count]
        Node.objects.filter(pk__in=ids).exclude(expected=count).update(expected=count)


def _declared(cluster: Cluster, alive: Q) -> dict[int, int]:
    """Id to what somebody declared, of nodes for which somebody did."""
    count_of = expected.declared(cluster)
    if count_of is None:
        return {}
    counts = {node.pk: count_of(node) for node in Node.objects.filter(alive).only("name", "machine_type", "product")}
    return {pk: count for pk, count in counts.items() if count is not None}
