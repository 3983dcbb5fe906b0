"""Records the cluster's own row: its version, operator and permissions, and the outcome of its runs. Written by every run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.db import transaction
from msgspec.structs import replace

from fleet.domain.devices.detection import node_of
from fleet.domain.evaluation.node_evaluation import NodeEvaluation
from fleet.domain.findings import Status
from fleet.domain.snapshot import ClusterSnapshot
from fleet.models import Cluster, CollectionRun, RunOutcome, SchedulingRow
from fleet.services.recording import run_events
from fleet.services.recording.nodes import plain

_MOST_CLAIMS = 2_000
_MOST_DEVICES = 10_000
"""Devices that belong to no GPU node, such as those a network attaches."""


def record_reading(cluster: Cluster, snapshot: ClusterSnapshot, run: CollectionRun) -> None:
    """Writes what was collected of the cluster itself. Must run in the transaction that recorded the snapshot.

    A telemetry run changes its own sections only, never the outcome of the last complete run.
    """
    fresh = cluster.taken_at is None or snapshot.taken_at > cluster.taken_at
    if not fresh:
        return
    at = snapshot.taken_at
    whole = [report.name for report in snapshot.sections.values() if report.complete]
    cluster.taken_at = at
    if "nodes" not in snapshot.sections:
        read = {section["name"]: section for section in run.sections}
        cluster.sections = [read.pop(section["name"], section) for section in cluster.sections] + list(read.values())
        cluster.section_read_at = {**cluster.section_read_at, **{name: plain(at) for name in whole}}
        cluster.changes += run.changes or 0
        cluster.save(update_fields=("taken_at", "sections", "section_read_at", "changes"))
        return
    cluster.sections, cluster.clock_ahead_s = run.sections, snapshot.clock_ahead_s
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
    cluster.dra = cluster.dra | _dra(cluster, snapshot, whole)
    if "readiness_rules" in whole:
        cluster.readiness_rules = plain(snapshot.readiness_rules)
    if "events" in whole:
        cluster.events = plain(snapshot.events)
    if "scheduling" in whole:
        _record_scheduling(cluster, "objects_read", plain(snapshot.scheduling))
    if "queues" in whole:
        _record_scheduling(cluster, "queues_read", plain(snapshot.queues))
    cluster.changes += run.changes or 0
    cluster.save(update_fields=_WRITTEN)


def _record_scheduling(cluster: Cluster, column: str, objects: Any) -> None:
    """Writes only what differs: thousands of volumes rarely change between two runs."""
    rows = SchedulingRow.objects.filter(cluster=cluster)
    if not rows.exclude(**{column: objects}).update(**{column: objects}):
        SchedulingRow.objects.get_or_create(cluster=cluster, defaults={column: objects})


def _dra(cluster: Cluster, snapshot: ClusterSnapshot, whole: Collection[str]) -> dict[str, Any]:
    """Returns the DRA objects that belong to no node, of the sections that are complete."""
    result: dict[str, Any] = {}
    names = {node.name for node in snapshot.nodes}
    elsewhere = [device for device in snapshot.slices.devices if node_of(device) not in names]
    if "resource_slices" in whole:
        # an incomplete pool keeps its last known devices, and so its counters
        missing = {(pool.driver, pool.pool) for pool in snapshot.slices.incomplete_pools}
        missing -= {(counter_set.driver, counter_set.pool) for counter_set in snapshot.slices.counter_sets}
        kept = [item for item in cluster.dra.get("counter_sets", ()) if (item["driver"], item["pool"]) in missing]
        result["counter_sets"] = plain(snapshot.slices.counter_sets) + kept
        result["devices"] = plain(elsewhere[:_MOST_DEVICES])
    if "device_classes" in whole:
        result["device_classes"] = plain(snapshot.device_classes)
    if "device_taint_rules" in whole:
        result["taint_rules"] = plain(snapshot.taint_rules)
    if "resource_claims" in whole:
        waiting = [claim for claim in snapshot.claims if not claim.allocated]
        # Of an allocated claim a pod that shares it needs only where it is.
        allocated = [replace(claim, requests=(), constraints=()) for claim in snapshot.claims if claim.allocated]
        result["claims"] = plain([*waiting, *allocated][:_MOST_CLAIMS])
        of_devices = {(device.driver, device.pool) for device in elsewhere}
        held = [allocation for allocation in snapshot.allocations if (allocation.driver, allocation.pool) in of_devices]
        result["allocations"] = plain(held[:_MOST_DEVICES])
    return result


def record_failure(cluster: Cluster, run: CollectionRun) -> None:
    """Marks a cluster as failing after a run of which nothing was recorded because Muster itself failed."""
    with transaction.atomic():
        row = Cluster.objects.select_for_update().get(pk=cluster.pk)
        failing_before = row.failing_since
        row.outcome, row.error = run.outcome, run.error
        row.failing_since = failing_before or run.started_at
        row.save(update_fields=("outcome", "error", "failing_since"))
        run_events.record_reachability(row, failing_before, run.started_at)


def learn_proved(cluster: Cluster, judged: Sequence[NodeEvaluation]) -> None:
    """Adds the rungs that some node passes now to those that were ever passed in this cluster. Writes only what is new."""
    proved = {result.id for item in judged for result in item.readiness.rungs if result.status == Status.PASS}
    if not proved.issubset(cluster.rungs_proved):
        cluster.rungs_proved = sorted(proved.union(cluster.rungs_proved))
        cluster.save(update_fields=["rungs_proved"])


_WRITTEN = (
    *(
        "taken_at",
        "clock_ahead_s",
        "sections",
        "section_read_at",
        "outcome",
        "error",
        "failing_since",
        "read_at",
        "first_read_at",
    ),
    *(
        "node_count",
        "platform",
        "server_version",
        "operator",
        "device_plugin",
        "permissions",
        "incomplete_pools",
        "dra",
        "readiness_rules",
        "events",
    ),
    *("changes", "dra", "clock_ahead_s"),
    "pending_fingerprint",
)
