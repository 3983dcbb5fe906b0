"""One pass as a whole: what changed is written, what did not change costs nothing."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.domain.judgement import JudgedNode
from fleet.domain.snapshot import ClusterSnapshot
from fleet.models import Cluster
from fleet.services.recording import devices, nodes, pods, revisions


def record(cluster: Cluster, snapshot: ClusterSnapshot, judged: Sequence[JudgedNode]) -> int | None:
    """Writes the inventory of `cluster` as of `snapshot.taken_at` and returns how many nodes and pods changed.

    None where a newer snapshot was recorded already: an older pass that ends late writes nothing. Must run inside a
    transaction; the cluster's row is locked until it ends. Rows are removed only of sections that were read whole.
    """
    row = Cluster.objects.select_for_update().only("taken_at").get(pk=cluster.pk)
    if row.taken_at is not None and snapshot.taken_at <= row.taken_at:
        return None
    if not snapshot.knows("nodes"):
        return 0
    known = nodes.known(cluster)
    removed = nodes.remove_gone(cluster, snapshot, judged, known)
    pods.leave_with(removed, snapshot.taken_at)
    changed = nodes.upsert_changed(cluster, snapshot, judged, known)
    devices.replace(changed)
    revisions.write(changed, snapshot.taken_at)
    changed_pods = pods.record(cluster, snapshot, judged) if snapshot.knows("pods") else 0
    nodes.learn_expected(cluster)
    return len(removed) + len(changed) + changed_pods
