"""The cluster's own row: what it said about itself and how its reading went. One row a pass, changed or not."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from fleet.domain.findings import Status
from fleet.domain.judgement import JudgedNode
from fleet.domain.snapshot import ClusterSnapshot
from fleet.models import Cluster, CollectionRun, RunOutcome
from fleet.services.recording import notices
from fleet.services.recording.nodes import plain


def record_reading(cluster: Cluster, snapshot: ClusterSnapshot, run: CollectionRun) -> None:
    """Must run in the transaction that recorded the snapshot, before anyone else may lock the cluster.

    A telemetry pass speaks for its own sections only: it neither mends nor breaks what the last whole pass said of the cluster.
    """
    fresh = cluster.taken_at is None or snapshot.taken_at > cluster.taken_at
    if not fresh:
        return
    at, failing_before = snapshot.taken_at, cluster.failing_since
    whole = [report.name for report in snapshot.sections.values() if report.complete]
    cluster.taken_at = at
    if "nodes" not in snapshot.sections:
        read = {section["name"]: section for section in run.sections}
        cluster.sections = [read.pop(section["name"], section) for section in cluster.sections] + list(read.values())
        cluster.section_read_at = {**cluster.section_read_at, **{name: plain(at) for name in whole}}
        cluster.changes += run.changes or 0
        cluster.save(update_fields=("taken_at", "sections", "section_read_at", "changes"))
        return
    cluster.sections = run.sections
    cluster.section_read_at = {**cluster.section_read_at, **{name: plain(at) for name in whole}}
    cluster.outcome, cluster.error = run.outcome, run.error
    cluster.failing_since = (cluster.failing_since or at) if run.outcome == RunOutcome.FAILED else None
    if "nodes" in whole:
        cluster.read_at = at
        cluster.first_read_at = cluster.first_read_at or at
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
    if "resource_slices" in whole:
        cluster.incomplete_pools = plain(snapshot.slices.incomplete_pools)
    if "events" in whole:
        cluster.events = plain(snapshot.events)
    cluster.changes += run.changes or 0
    cluster.save(update_fields=_WRITTEN)
    notices.record_reachability(cluster, failing_before, at)


def record_failure(cluster: Cluster, run: CollectionRun) -> None:
    """A pass of which nothing could be recorded, by a mistake of Muster's own: the cluster must not look well read."""
    with transaction.atomic():
        row = Cluster.objects.select_for_update().get(pk=cluster.pk)
        failing_before = row.failing_since
        row.outcome, row.error = run.outcome, run.error
        row.failing_since = failing_before or run.started_at
        row.save(update_fields=("outcome", "error", "failing_since"))
        notices.record_reachability(row, failing_before, run.started_at)


def learn_proved(cluster: Cluster, judged: Sequence[JudgedNode]) -> None:
    """Adds the rungs that some node proves now to those that were ever proved here. Writes only what is new."""
    proved = {result.id for one in judged for result in one.readiness.rungs if result.status == Status.PASS}
    if not proved.issubset(cluster.rungs_proved):
        cluster.rungs_proved = sorted(proved.union(cluster.rungs_proved))
        cluster.save(update_fields=["rungs_proved"])


_WRITTEN = (
    *("taken_at", "sections", "section_read_at", "outcome", "error", "failing_since", "read_at", "first_read_at"),
    *("node_count", "platform", "server_version", "operator", "device_plugin", "permissions", "incomplete_pools", "events"),
    "changes",
    "pending_fingerprint",
)
