"""Fills sections that could not be read with their last known data: pages go on showing it, with its age.

Only sections that were once complete are filled; what was never read stays unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from django.db.models import Exists, OuterRef, Q

from fleet.collectors.telemetry import Refused
from fleet.domain.snapshot import (
    ClusterSnapshot,
    DevicePluginConfigs,
    DraAllocation,
    DraDevice,
    IncompletePool,
    NodeEvent,
    NodeSnapshot,
    OperatorSnapshot,
    Permissions,
    PodSnapshot,
)
from fleet.domain.snapshot.dra import CounterSet, DeviceClass, DeviceTaintRule, DraClaim
from fleet.domain.snapshot.readiness_rules import NodeReadinessRule
from fleet.domain.snapshot.sections import Outcome, SectionReport
from fleet.domain.snapshot.telemetry import DeviceSample, ExporterReport, ModelServer, Telemetry
from fleet.models import Cluster, DeviceTelemetry, Exporter, ModelServerRow, Node, Pod

T = TypeVar("T")


def gpu_node_names(cluster: Cluster) -> frozenset[str]:
    """Names of the nodes known to have GPUs, whatever they report now."""
    return frozenset(cluster.nodes.filter(removed_at__isnull=True).values_list("name", flat=True))


def pod_count(cluster: Cluster) -> int:
    """Returns how many pods of its GPU nodes are known."""
    return Pod.objects.filter(cluster=cluster, node__isnull=False, removed_at__isnull=True).count()


def fill(cluster: Cluster, snapshot: ClusterSnapshot) -> ClusterSnapshot:
    """Returns the snapshot with last known data in its incomplete sections, which `remembered` names."""
    fillers: dict[str, Callable[[Cluster, ClusterSnapshot], dict[str, Any]]] = {
        "nodes": _nodes,
        "pods": _pods,
        "operator": _operator,
        "device_plugin_config": _device_plugin,
        "resource_slices": _slices,
        "resource_claims": _claims,
        "device_classes": _device_classes,
        "device_taint_rules": _taint_rules,
        "readiness_rules": _readiness_rules,
        "events": _events,
    }
    asked = set(snapshot.sections)
    snapshot = _between(cluster, snapshot)
    told_now = [exporter.outcome for exporter in snapshot.telemetry.exporters] + [
        server.outcome for server in snapshot.telemetry.servers
    ]
    if Outcome.COLLECTED not in told_now and not snapshot.is_reached:
        snapshot = msgspec.structs.replace(snapshot, telemetry=Telemetry())  # the path to all of them is broken
    known = [name for name in fillers if name in (cluster.section_read_at or {})]
    remembered = [name for name in known if name not in asked or not snapshot.section(name).complete]
    changes: dict[str, Any] = {"remembered": tuple(remembered)}
    for name in remembered:
        changes |= fillers[name](cluster, snapshot)
    if "resource_slices" not in remembered and snapshot.slices.incomplete_pools:
        changes |= _slices_of(cluster, snapshot, {(pool.driver, pool.pool) for pool in snapshot.slices.incomplete_pools})
    for name, values, filler in (
        ("telemetry", snapshot.telemetry.exporters, _devices),
        ("model_servers", snapshot.telemetry.servers, _servers),
    ):
        complete = snapshot.section(name).complete
        if complete and all(item.outcome is Outcome.COLLECTED for item in values):
            continue
        filled = filler(cluster, snapshot)
        if filled is not None:
            telemetry = changes.get("telemetry", snapshot.telemetry)
            changes["telemetry"] = msgspec.structs.replace(telemetry, **filled)
            changes["remembered"] += () if complete else (name,)
    return msgspec.structs.replace(snapshot, **changes)


def _between(cluster: Cluster, snapshot: ClusterSnapshot) -> ClusterSnapshot:
    """Fills a scrape, which reads pods' pages only, with the sections of the last full run and their reports.

    So the evaluation of nodes does not change between two runs.
    """
    reports = {report["name"]: msgspec.convert(report, SectionReport, strict=False) for report in cluster.sections}
    if "nodes" in snapshot.sections:
        return snapshot
    return msgspec.structs.replace(
        snapshot,
        sections=reports | snapshot.sections,
        server_version=cluster.server_version,
        platform=cluster.platform,
        permissions=msgspec.convert(cluster.permissions, Permissions, strict=False),
    )


def _nodes(cluster: Cluster, snapshot: ClusterSnapshot) -> dict[str, Any]:
    seen = {node.name for node in snapshot.nodes}
    known = _alive_nodes(cluster).exclude(name__in=seen).values_list("snapshot", flat=True)
    return {"nodes": snapshot.nodes + tuple(map(_ordered, _convert(known, NodeSnapshot))), "node_count": cluster.node_count}


def _ordered(node: NodeSnapshot) -> NodeSnapshot:
    """The API gives keys by name, jsonb by length: the evaluation of a last known node must not depend on that."""
    return msgspec.structs.replace(
        node,
        labels=dict(sorted(node.labels.items())),
        annotations=dict(sorted(node.annotations.items())),
        capacity=dict(sorted(node.capacity.items())),
        allocatable=dict(sorted(node.allocatable.items())),
    )


def _pods(cluster: Cluster, snapshot: ClusterSnapshot) -> dict[str, Any]:
    seen = {pod.uid for pod in snapshot.pods}
    known = Pod.objects.filter(cluster=cluster, removed_at__isnull=True).values_list("uid", "snapshot")
    return {"pods": snapshot.pods + _convert((facts for uid, facts in known if uid not in seen), PodSnapshot)}


def _operator(cluster: Cluster, snapshot: ClusterSnapshot) -> dict[str, Any]:
    return {"operator": msgspec.convert(cluster.operator, OperatorSnapshot, strict=False)}


def _device_plugin(cluster: Cluster, snapshot: ClusterSnapshot) -> dict[str, Any]:
    return {"device_plugin": msgspec.convert(cluster.device_plugin, DevicePluginConfigs, strict=False)}


def _slices(cluster: Cluster, snapshot: ClusterSnapshot) -> dict[str, Any]:
    """Devices of every pool that this run did not read."""
    filled = _slices_of(cluster, snapshot, None)["slices"]
    incomplete = _convert(cluster.incomplete_pools, IncompletePool)
    return {"slices": msgspec.structs.replace(filled, incomplete_pools=incomplete)}


def _slices_of(cluster: Cluster, snapshot: ClusterSnapshot, pools: set[tuple[str, str]] | None) -> dict[str, Any]:
    """Returns the snapshot's devices and the last known ones of these pools (driver, pool); None: of all."""
    seen = {(device.driver, device.pool, device.name) for device in snapshot.slices.devices}
    kept = tuple(
        device
        for device in _convert(_remembered_dra(cluster, "devices"), DraDevice)
        if (device.driver, device.pool, device.name) not in seen and (pools is None or (device.driver, device.pool) in pools)
    )
    known = {(counter_set.driver, counter_set.pool) for counter_set in snapshot.slices.counter_sets}
    counter_sets = tuple(
        item
        for item in _convert(cluster.dra.get("counter_sets", ()), CounterSet)
        if (item.driver, item.pool) not in known and (pools is None or (item.driver, item.pool) in pools)
    )
    return {
        "slices": msgspec.structs.replace(
            snapshot.slices,
            devices=snapshot.slices.devices + kept,
            counter_sets=snapshot.slices.counter_sets + counter_sets,
        )
    }


def _allocations(cluster: Cluster, snapshot: ClusterSnapshot) -> dict[str, Any]:
    seen = {_allocation_key(held) for held in snapshot.allocations}
    known = _convert(_remembered_dra(cluster, "allocations"), DraAllocation)
    return {"allocations": snapshot.allocations + tuple(held for held in known if _allocation_key(held) not in seen)}


def _allocation_key(held: DraAllocation) -> tuple[str, ...]:
    """A device that is shared is held several times."""
    return (held.driver, held.pool, held.device, held.namespace, held.claim, held.share_id)


def _claims(cluster: Cluster, snapshot: ClusterSnapshot) -> dict[str, Any]:
    return {**_allocations(cluster, snapshot), "claims": _convert(cluster.dra.get("claims", ()), DraClaim)}


def _device_classes(cluster: Cluster, snapshot: ClusterSnapshot) -> dict[str, Any]:
    return {"device_classes": _convert(cluster.dra.get("device_classes", ()), DeviceClass)}


def _taint_rules(cluster: Cluster, snapshot: ClusterSnapshot) -> dict[str, Any]:
    return {"taint_rules": _convert(cluster.dra.get("taint_rules", ()), DeviceTaintRule)}


def _readiness_rules(cluster: Cluster, snapshot: ClusterSnapshot) -> dict[str, Any]:
    return {"readiness_rules": _convert(cluster.readiness_rules, NodeReadinessRule)}


def _events(cluster: Cluster, snapshot: ClusterSnapshot) -> dict[str, Any]:
    """Events are repeated with higher counts: of one in both, this run's counts."""
    seen = {event.uid for event in snapshot.events}
    kept = tuple(event for event in _convert(cluster.events, NodeEvent) if event.uid not in seen)
    return {"events": snapshot.events + kept}


def _remembered_dra(cluster: Cluster, part: str) -> Iterable[Mapping[str, Any]]:
    for dra in _alive_nodes(cluster).exclude(dra={}).values_list("dra", flat=True):
        yield from dra.get(part, ())
    yield from cluster.dra.get(part, ())


def _alive_nodes(cluster: Cluster) -> Any:
    return Node.objects.filter(cluster=cluster, removed_at__isnull=True)


def _convert(rows: Iterable[Any], struct: type[T]) -> tuple[T, ...]:
    return tuple(msgspec.convert(row, struct, strict=False) for row in rows)


def _devices(cluster: Cluster, snapshot: ClusterSnapshot) -> dict[str, Any] | None:
    """Samples of the nodes whose exporters did not answer, each with its own age.

    How those exporters fared when they were last asked, where they were not asked now. None where nothing was ever read: then
    telemetry stays unknown.
    """
    known = {
        (report.node_name, report.namespace, report.pod): report
        for report in _convert(Exporter.objects.filter(cluster=cluster).values_list("report", flat=True), ExporterReport)
    }
    telemetry = snapshot.telemetry
    answered = {report.node_name for report in telemetry.exporters if report.outcome is Outcome.COLLECTED}
    if not answered and not any(report.at for report in known.values()):
        return None
    reports = []
    for report in telemetry.exporters:
        before = known.pop((report.node_name, report.namespace, report.pod), None)
        if before is not None and report.outcome is not Outcome.COLLECTED:
            report = msgspec.structs.replace(report, at=before.at, metrics=before.metrics)
        reports.append(report)
    asked = bool(telemetry.exporters)
    rows = DeviceTelemetry.objects.filter(node__cluster=cluster, node__removed_at__isnull=True)
    # a node recreated under its name has none of the GPUs of the previous one
    bearers = {node.name: node.uid for node in snapshot.nodes}
    told_of = answered | {sample.node_name for sample in telemetry.samples}
    kept = rows.exclude(node__name__in=told_of).values_list("node__name", "node__uid", "sample")
    samples = _convert((sample for name, uid, sample in kept if bearers.get(name, uid) == uid), DeviceSample)
    return {
        "source": telemetry.source or cluster.telemetry_source,
        "samples": telemetry.samples + samples,
        "exporters": tuple(reports) if asked else tuple(known.values()),
    }


def _servers(cluster: Cluster, snapshot: ClusterSnapshot) -> dict[str, Any] | None:
    """Model servers that were not asked now. None where none was ever read and none was asked."""
    servers = snapshot.telemetry.servers
    rows = ModelServerRow.objects.filter(node__cluster=cluster, node__removed_at__isnull=True)
    known = _convert(rows.values_list("server", flat=True), ModelServer)
    if not any(server.at for server in (*servers, *known)):
        return None
    return {"servers": servers or known}


def pods_to_ask(cluster: Cluster, components: Iterable[str]) -> tuple[PodSnapshot, ...]:
    """Exporters (pods of these components) and model servers as last seen: those that a scrape reads."""
    server = ModelServerRow.objects.filter(node=OuterRef("node"), namespace=OuterRef("namespace"), pod=OuterRef("name"))
    rows = Pod.objects.filter(cluster=cluster, removed_at__isnull=True, node__isnull=False)
    chosen = rows.filter(Q(component__in=list(components)) | Q(Exists(server)))
    return _convert(chosen.values_list("snapshot", flat=True), PodSnapshot)


def failed_exporters(cluster: Cluster) -> frozenset[tuple[str, str]]:
    """(namespace, pod) of the exporters that did not answer last time."""
    rows = Exporter.objects.filter(cluster=cluster).exclude(report__outcome=Outcome.COLLECTED.value)
    return frozenset(rows.values_list("namespace", "pod"))


def refused_exporters(cluster: Cluster) -> dict[tuple[str, str], Refused]:
    """(namespace, pod) of the exporters that refused last time, with the time of the next question."""
    rows = Exporter.objects.filter(cluster=cluster, report__outcome=Outcome.REFUSED.value)
    reports = _convert(rows.values_list("report", flat=True), ExporterReport)
    return {
        (report.namespace, report.pod): Refused(times=report.refusals, until=report.retry_at, reason=report.reason)
        for report in reports
        if report.retry_at is not None
    }
