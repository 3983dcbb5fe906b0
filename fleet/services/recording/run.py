"""Records one collection run as a whole: only what changed is written."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from fleet.domain.evaluation.evaluate import ClusterEvaluation
from fleet.domain.evaluation.subject import ClusterHistory
from fleet.domain.snapshot import ClusterSnapshot
from fleet.models import Cluster
from fleet.services import incidents, memberships
from fleet.services.recording import (
    clusters,
    devices,
    findings,
    nodes,
    pods,
    revisions,
    staleness,
    startup_times,
    telemetry,
    verdicts,
    xids,
)


class Recorded(NamedTuple):
    """How many nodes and pods changed, and the moments at which periods may have begun or ended."""

    changes: int | None
    """None where a newer snapshot was recorded already: an older run that ends late writes nothing."""
    moments: tuple[datetime, ...]


def record(cluster: Cluster, snapshot: ClusterSnapshot, history: ClusterHistory, evaluation: ClusterEvaluation) -> Recorded:
    """Writes the inventory of `cluster` as of `snapshot.taken_at`.

    Must run inside a transaction; the cluster's row is locked until it ends. Rows are removed only of sections that are complete.
    """
    row = Cluster.objects.select_for_update().only("taken_at", "read_at").get(pk=cluster.pk)
    at = snapshot.taken_at
    if row.taken_at is not None and at <= row.taken_at:
        return Recorded(None, ())
    if not snapshot.knows("nodes"):
        return Recorded(0, (at,))
    whole = snapshot.is_fresh("nodes")
    silent_from = staleness.turn(row, at, read_now=whole)
    known = nodes.known(cluster)
    removed = nodes.remove_gone(cluster, snapshot, evaluation.nodes, known)
    pods.leave_with(removed, at)
    changed = nodes.upsert_changed(cluster, snapshot, evaluation.nodes, known)
    nodes.keep_pending(evaluation.nodes, known, changed)
    devices.replace(changed)
    revisions.write(changed, at)
    changed_pods = pods.record(cluster, snapshot, evaluation.nodes) if snapshot.knows("pods") else 0
    clusters.learn_proved(cluster, evaluation.nodes)
    by_uid = {uid: value.pk for uid, value in known.items()} | {item.judged.node.uid: item.pk for item in changed}
    by_name = {node.node.name: by_uid[node.node.uid] for node in evaluation.nodes}
    memberships.close(removed, at)
    memberships.assign([entry.pk for entry in changed], at)
    verdicts.close(removed, at)
    verdicts.record(changed, at, silent_from if not whole else None)
    startup_times.record(changed, at, seen_joining=row.read_at is not None and silent_from is None)
    findings.record(cluster, evaluation, by_name, at)
    xids.record(cluster, history, by_uid)
    incidents.regroup(cluster, at)
    telemetry.record(cluster, snapshot, history, by_name, row.taken_at)
    moments = (silent_from, at) if silent_from is not None and not whole else (at,)
    return Recorded(len(removed) + len(changed) + changed_pods, moments)
