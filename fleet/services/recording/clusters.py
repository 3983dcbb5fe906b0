"""The cluster's own row: what it said about itself and how its reading went. One row a pass, changed or not."""

from __future__ import annotations

from fleet.domain.snapshot import ClusterSnapshot
from fleet.models import Cluster, CollectionRun, RunOutcome
from fleet.services.recording import notices
from fleet.services.recording.nodes import plain


def record_reading(cluster: Cluster, snapshot: ClusterSnapshot, run: CollectionRun) -> None:
    """Must run in the transaction that recorded the snapshot, before anyone else may lock the cluster."""
    fresh = cluster.taken_at is None or snapshot.taken_at > cluster.taken_at
    if not fresh:
        return
    at, failing_before = snapshot.taken_at, cluster.failing_since
    whole = [report.name for report in snapshot.sections.values() if report.complete]
    cluster.taken_at = at
    cluster.sections = run.sections
    cluster.section_read_at = {**cluster.section_read_at, **{name: plain(at) for name in whole}}
    cluster.outcome, cluster.error = run.outcome, run.error
    cluster.failing_since = (cluster.failing_since or at) if run.outcome == RunOutcome.FAILED else None
    if "nodes" in whole:
        cluster.read_at = at
        cluster.node_count = snapshot.node_count
        cluster.platform = snapshot.platform
    if "version" in whole:
        cluster.server_version = snapshot.server_version
    if "operator" in whole:
        cluster.operator = plain(snapshot.operator)
    if "device_plugin_config" in whole:
        cluster.device_plugin = plain(snapshot.device_plugin)
    if "permissions" in whole:
        cluster.permissions = plain(snapshot.permissions)
    cluster.changes += run.changes or 0
    cluster.save(update_fields=_WRITTEN)
    notices.record_reachability(cluster, failing_before, at)


_WRITTEN = (
    *("taken_at", "sections", "section_read_at", "outcome", "error", "failing_since", "read_at", "node_count"),
    *("platform", "server_version", "operator", "device_plugin", "permissions", "changes", "pending_fingerprint"),
)
