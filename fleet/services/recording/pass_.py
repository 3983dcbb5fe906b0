"""One pass as a whole: what changed is written, what did not change costs nothing."""

from __future__ import annotations

from fleet.domain.judgement import Judgement
from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.subject import ClusterMemory
from fleet.models import Cluster
from fleet.services import memberships
from fleet.services.recording import (
    bootstrap,
    clusters,
    devices,
    findings,
    nodes,
    notices,
    periods,
    pods,
    revisions,
    silence,
    telemetry,
    xids,
)


def record(cluster: Cluster, snapshot: ClusterSnapshot, memory: ClusterMemory, judgement: Judgement) -> int | None:
    """Writes the inventory of `cluster` as of `snapshot.taken_at` and returns how many nodes and pods changed.

    None where a newer snapshot was recorded already: an older pass that ends late writes nothing. Must run inside a
    transaction; the cluster's row is locked until it ends. Rows are removed only of sections that were read whole.
    """
    row = Cluster.objects.select_for_update().only("taken_at", "read_at").get(pk=cluster.pk)
    at = snapshot.taken_at
    if row.taken_at is not None and at <= row.taken_at:
        return None
    if not snapshot.knows("nodes"):
        return 0
    whole = snapshot.is_fresh("nodes")
    silent_from = silence.turn(row, at, read_now=whole)
    known = nodes.known(cluster)
    removed = nodes.remove_gone(cluster, snapshot, judgement.nodes, known)
    pods.leave_with(removed, at)
    changed = nodes.upsert_changed(cluster, snapshot, judgement.nodes, known)
    nodes.keep_pending(judgement.nodes, known, changed)
    devices.replace(changed)
    revisions.write(changed, at)
    changed_pods = pods.record(cluster, snapshot, judgement.nodes) if snapshot.knows("pods") else 0
    nodes.learn_expected(cluster)
    clusters.learn_proved(cluster, judgement.nodes)
    by_uid = {uid: one.pk for uid, one in known.items()} | {one.judged.node.uid: one.pk for one in changed}
    by_name = {one.node.name: by_uid[one.node.uid] for one in judgement.nodes}
    memberships.close(removed, at)
    memberships.assign([one.pk for one in changed], at)
    periods.close(removed, at)
    periods.record(changed, memory, at, silent_from if not whole else None)
    bootstrap.record(changed, at, seen_joining=row.read_at is not None and silent_from is None)
    findings.record(cluster, judgement, by_name, at)
    xids.record(cluster, memory, by_uid)
    telemetry.record(cluster, snapshot, memory, by_name, row.taken_at)
    if silent_from is not None and not whole:
        notices.record(cluster, silent_from)
    notices.record(cluster, at)
    return len(removed) + len(changed) + changed_pods
