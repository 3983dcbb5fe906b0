"""Telemetry as rows: the newest sample of each device, exporters, model servers, and the UUIDs that identify a node's GPUs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fleet.domain.devices.measured_gpus import learn_uuids, present_uuids
from fleet.domain.evaluation.subject import ClusterHistory
from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import DeviceSample
from fleet.models import Cluster, DeviceTelemetry, Exporter, ModelServerRow, Node
from fleet.services.recording import frames
from fleet.services.recording.nodes import plain

_BATCH = 2_000


def record(
    cluster: Cluster, snapshot: ClusterSnapshot, history: ClusterHistory, ids: Mapping[str, int], before: datetime | None
) -> None:
    """Writes what this run measured; what it did not read keeps its last value and age.

    `ids`: node name to row; `before`: when the snapshot recorded before this one was taken.
    """
    telemetry = snapshot.telemetry
    samples: dict[int, list[DeviceSample]] = defaultdict(list)
    for sample in telemetry.samples:
        if sample.node_name in ids:
            samples[ids[sample.node_name]].append(sample)
    answered = {
        ids[report.node_name]
        for report in telemetry.exporters
        if report.node_name in ids and report.outcome is Outcome.COLLECTED and _is_of_this_look(report.at, before)
    }
    fresh = _devices(samples, answered, telemetry.source)
    _learn_uuids(snapshot, history, ids, {node_id: samples[node_id] for node_id in answered})
    _exporters(cluster, snapshot)
    _model_servers(cluster, snapshot, ids)
    if frames.is_due(snapshot.taken_at, before):
        frames.write(fresh, snapshot.taken_at)


def _is_of_this_look(at: datetime | None, before: datetime | None) -> bool:
    return at is not None and (before is None or at >= before)


def _devices(samples: Mapping[int, list[DeviceSample]], answered: set[int], source: str) -> dict[int, list[DeviceSample]]:
    """Writes the samples that are newer than their rows and returns them by node.

    Rows of MIG instances that an exporter no longer reports are deleted; a GPU that is no longer reported keeps its last sample.
    """
    rows = DeviceTelemetry.objects.filter(node_id__in={*samples, *answered})
    known = {
        (node_id, uuid, gi_id): (pk, at)
        for pk, node_id, uuid, gi_id, at in rows.values_list("pk", "node_id", "uuid", "gi_id", "at")
    }
    fresh: dict[int, list[DeviceSample]] = defaultdict(list)
    written = []
    for node_id, devices in samples.items():
        for device in devices:
            row = known.get((node_id, device.uuid, device.gi_id))
            if row is None or device.at > row[1]:
                fresh[node_id].append(device)
                written.append(
                    DeviceTelemetry(
                        node_id=node_id, uuid=device.uuid, gi_id=device.gi_id, at=device.at, source=source, sample=plain(device)
                    )
                )
    DeviceTelemetry.objects.bulk_create(
        written,
        batch_size=_BATCH,
        update_conflicts=True,
        unique_fields=["node", "uuid", "gi_id"],
        update_fields=["at", "source", "sample"],
    )
    results = {(node_id, item.uuid, item.gi_id) for node_id, devices in samples.items() for item in devices}
    gone = [pk for key, (pk, _) in known.items() if key[0] in answered and key[2] and key not in results]
    if gone:
        DeviceTelemetry.objects.filter(pk__in=gone).delete()
    return fresh


def _learn_uuids(
    snapshot: ClusterSnapshot, history: ClusterHistory, ids: Mapping[str, int], measured: Mapping[int, list[DeviceSample]]
) -> None:
    """Which GPUs a node has; the rows of replaced GPUs are deleted."""
    by_id = {ids[node.name]: history.of(node.uid) for node in snapshot.nodes if node.name in ids}
    changed = []
    for pk, known in Node.objects.filter(pk__in=list(measured)).values_list("pk", "known_uuids"):
        remembered = by_id.get(pk)
        declared = remembered.declared if remembered else None
        learned = list(learn_uuids(known, present_uuids(measured[pk]), declared))
        if learned != known:
            changed.append(Node(pk=pk, known_uuids=learned))
            replaced = set(known) - set(learned)
            if replaced:
                DeviceTelemetry.objects.filter(node_id=pk, uuid__in=replaced).delete()
    if changed:
        Node.objects.bulk_update(changed, ["known_uuids"], batch_size=_BATCH)


def _exporters(cluster: Cluster, snapshot: ClusterSnapshot) -> None:
    """Writes one row for each exporter, and deletes those of exporters known to be gone."""
    reports = snapshot.telemetry.exporters
    rows = {
        (report.node_name, report.namespace, report.pod): Exporter(
            cluster=cluster,
            node_name=report.node_name,
            namespace=report.namespace,
            pod=report.pod,
            at=report.at,
            report=plain(report),
        )
        for report in reports
    }
    Exporter.objects.bulk_create(
        rows.values(),
        batch_size=_BATCH,
        update_conflicts=True,
        unique_fields=["cluster", "node_name", "namespace", "pod"],
        update_fields=["at", "report"],
    )
    if snapshot.section("telemetry").complete or snapshot.section("telemetry").outcome is Outcome.INCOMPLETE:
        _delete_others(Exporter.objects.filter(cluster=cluster), ("node_name", "namespace", "pod"), set(rows))


def _model_servers(cluster: Cluster, snapshot: ClusterSnapshot, ids: Mapping[str, int]) -> None:
    rows = {
        (ids[server.node_name], server.namespace, server.pod): ModelServerRow(
            node_id=ids[server.node_name],
            namespace=server.namespace,
            pod=server.pod,
            kind=server.kind,
            at=server.at,
            served_at=server.served_at,
            ready_at=server.ready_at,
            server=plain(server),
        )
        for server in snapshot.telemetry.servers
        if server.node_name in ids
    }
    ModelServerRow.objects.bulk_create(
        rows.values(),
        batch_size=_BATCH,
        update_conflicts=True,
        unique_fields=["node", "namespace", "pod"],
        update_fields=["kind", "at", "served_at", "ready_at", "server"],
    )
    section = snapshot.section("model_servers")
    if section.complete or section.outcome is Outcome.INCOMPLETE:
        _delete_others(ModelServerRow.objects.filter(node__cluster=cluster), ("node_id", "namespace", "pod"), set(rows))


def _delete_others(rows: Any, key: tuple[str, ...], kept: set[tuple[Any, ...]]) -> None:
    gone = [row[0] for row in rows.values_list("pk", *key) if tuple(row[1:]) not in kept]
    if gone:
        rows.model.objects.filter(pk__in=gone).delete()
