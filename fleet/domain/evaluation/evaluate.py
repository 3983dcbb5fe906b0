"""Evaluates a cluster's snapshot: inspects devices, runs the health and lint rules, and evaluates each node's ladder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from fleet.domain import labels
from fleet.domain.devices.detection import gpu_evidence, machine_type, node_of
from fleet.domain.devices.inspection import NodeDevices, NodeInputs, inspect
from fleet.domain.devices.measured_gpus import see
from fleet.domain.dra.allocated import Allocated
from fleet.domain.dra.resource_pools import Inventory
from fleet.domain.dra.taints import join, set_aside
from fleet.domain.evaluation import expected, rules
from fleet.domain.evaluation.cluster_facts import facts_of
from fleet.domain.evaluation.kept import KeptEvaluations, digests
from fleet.domain.evaluation.node_evaluation import NodeEvaluation, evaluate_node
from fleet.domain.evaluation.run_clock import RunClock
from fleet.domain.evaluation.subject import ClusterContext, ClusterHistory, ClusterStack, NodeHistory, NodeReports, NodeSubject
from fleet.domain.findings import RuleResult
from fleet.domain.health import events
from fleet.domain.health.rules import CLUSTER_RULES as HEALTH_CLUSTER_RULES
from fleet.domain.lint.rules import CLUSTER_RULES as LINT_CLUSTER_RULES
from fleet.domain.snapshot import ClusterSnapshot, DraAllocation, DraDevice, NodeSnapshot
from fleet.domain.snapshot.cluster import no_cycles
from fleet.domain.snapshot.dra import DeviceClass

T = TypeVar("T")


class ClusterEvaluation(msgspec.Struct, frozen=True, kw_only=True):
    """Evaluation of one snapshot."""

    nodes: tuple[NodeEvaluation, ...] = ()
    results: tuple[RuleResult, ...] = ()
    """Results of the rules over the whole cluster."""


@no_cycles()
def evaluate(
    snapshot: ClusterSnapshot, history: ClusterHistory | None = None, kept: KeptEvaluations | None = None
) -> ClusterEvaluation:
    """Returns the evaluation of every GPU node of the snapshot, in its order.

    A node whose GPUs are declared absent is left out. `kept` has the evaluations of the run before and gets those of this
    one: the result is the same without it.
    """
    known, kept = history or ClusterHistory(), KeptEvaluations() if kept is None else kept
    subjects = list(_subjects(snapshot, known))
    inputs = digests(subjects)
    kept.begin()
    subjects = [
        msgspec.structs.replace(subject, devices=kept.devices(digest) or _inspect(subject))
        for subject, digest in zip(subjects, inputs, strict=True)
    ]
    most_seen = [_most_seen(subject) for subject in subjects]
    subjects = _with_expected(subjects, most_seen, known)
    nodes = tuple(
        kept.evaluation(digest, subject) or kept.keep(digest, subject, evaluate_node(subject, most))
        for digest, subject, most in zip(inputs, subjects, most_seen, strict=True)
    )
    return ClusterEvaluation(
        nodes=nodes,
        results=(*rules.run_cluster(HEALTH_CLUSTER_RULES, subjects), *rules.run_cluster(LINT_CLUSTER_RULES, subjects)),
    )


def _most_seen(subject: NodeSubject) -> int | None:
    known = _sharing_is_known(subject)
    return expected.most_seen(subject.node, subject.devices, subject.history, sharing_is_known=known)


def _sharing_is_known(subject: NodeSubject) -> bool:
    return subject.snapshot.section("device_plugin_config").complete


def _with_expected(
    subjects: Sequence[NodeSubject], most_seen: Sequence[int | None], history: ClusterHistory
) -> list[NodeSubject]:
    """Returns the subjects with their expected number of physical GPUs.

    It is learned from all nodes of a shape, this run included.
    """
    in_snapshot = {subject.node.uid for subject in subjects}
    seen = [(node.machine_type, node.product, node.most_seen) for uid, node in history.nodes.items() if uid not in in_snapshot]
    seen += [
        (machine_type(subject.node.labels), subject.devices.product, count)
        for subject, count in zip(subjects, most_seen, strict=True)
    ]
    by_shape = expected.most_seen_by_shape(history.most_seen_elsewhere, seen)
    filled = []
    for subject, most in zip(subjects, most_seen, strict=True):
        declared = _declared(subject.node, history, subject.devices.product)
        known = subject.history
        if declared != known.declared:
            known = msgspec.structs.replace(known, declared=declared)
        gpus = expected.expected_gpus(
            subject.node, subject.devices, known, most=most, by_shape=by_shape, sharing_is_known=_sharing_is_known(subject)
        )
        known = msgspec.structs.replace(known, expected=gpus.count, expected_source=gpus.source)
        filled.append(msgspec.structs.replace(subject, history=known))
    return filled


def _previous(node: NodeSnapshot, history: ClusterHistory) -> NodeHistory:
    """The node's history with what is declared of it, as far as its product is known before inspection."""
    known = history.of(node.uid)
    declared = _declared(node, history, known.product)
    return known if declared == known.declared else msgspec.structs.replace(known, declared=declared)


def _declared(node: NodeSnapshot, history: ClusterHistory, product: str) -> int | None:
    return expected.declared_gpus(history.declarations, node.name, machine_type(node.labels), product)


def _subjects(snapshot: ClusterSnapshot, history: ClusterHistory) -> Iterator[NodeSubject]:
    """Yields each GPU node with what is known of it before its devices are inspected."""
    devices = join(snapshot.slices.devices, snapshot.taint_rules, _classes(snapshot))
    cluster = ClusterContext(
        snapshot=snapshot,
        facts=facts_of(snapshot),
        history=history,
        stack=_stack(snapshot),
        reports=_reports(snapshot, devices),
        inventory=Inventory(msgspec.structs.replace(snapshot.slices, devices=devices)),
        allocated=Allocated(snapshot.allocations) if snapshot.knows("resource_claims") else None,
    )
    for node in snapshot.nodes:
        if node.labels.get(labels.GPU_PRESENT) == "false" and not gpu_evidence(node, cluster.of(node.name).dra_devices):
            continue
        yield NodeSubject(
            node=node,
            devices=NOT_INSPECTED,
            history=_previous(node, history),
            policy=history.policy(node.uid),
            cluster=cluster,
            clock=RunClock(snapshot.taken_at),
        )


def _reports(snapshot: ClusterSnapshot, joined: Sequence[DraDevice]) -> dict[str, NodeReports]:
    """Returns what the snapshot says about each of its nodes, by name. `joined` are its devices with every taint."""
    pods = _by_node(snapshot.pods, lambda pod: pod.node_name)
    devices = _by_node(joined, node_of)
    allocations = _allocations_by_node(snapshot)
    samples = _by_node(snapshot.telemetry.samples, lambda sample: sample.node_name)
    exporters = _by_node(snapshot.telemetry.exporters, lambda exporter: exporter.node_name)
    servers = _by_node(snapshot.telemetry.servers, lambda server: server.node_name)
    by_node = _by_node(snapshot.events, lambda event: event.node_name)
    return {
        node.name: NodeReports(
            pods=tuple(pods[node.name]),
            dra_devices=tuple(devices[node.name]),
            allocations=tuple(allocations[node.name]),
            samples=tuple(samples[node.name]),
            exporters=tuple(exporters[node.name]),
            servers=tuple(servers[node.name]),
            events=events.of_node(node, by_node[node.name]),
        )
        for node in snapshot.nodes
    }


def _stack(snapshot: ClusterSnapshot) -> ClusterStack:
    parts = {pod.component for pod in snapshot.pods} | {daemons.component for daemons in snapshot.operator.daemonsets}
    return ClusterStack(
        components=frozenset(parts - {""}),
        gfd_labels=any(labels.GPU_PRODUCT in node.labels for node in snapshot.nodes),
        telemetry=bool(snapshot.telemetry.exporters or snapshot.telemetry.samples),
    )


NOT_INSPECTED = inspect(NodeInputs(node=NodeSnapshot(name="", uid=""), pods=None, plugin=None, devices=None, allocations=None))


def _by_node(row: Iterable[T], node_of: Callable[[T], str]) -> dict[str, list[T]]:
    result: dict[str, list[T]] = defaultdict(list)
    for thing in row:
        result[node_of(thing)].append(thing)
    return result


def _allocations_by_node(snapshot: ClusterSnapshot) -> dict[str, list[DraAllocation]]:
    node_of_pool = {(device.driver, device.pool): node_of(device) for device in snapshot.slices.devices}
    of_device = {(device.driver, device.pool, device.name): node_of(device) for device in snapshot.slices.devices}

    def node_of_allocation(held: DraAllocation) -> str:
        # a device that is no longer advertised belongs to the node of its pool
        return of_device.get((held.driver, held.pool, held.device)) or node_of_pool.get((held.driver, held.pool), "")

    return _by_node(snapshot.allocations, node_of_allocation)


def _classes(snapshot: ClusterSnapshot) -> tuple[DeviceClass, ...] | None:
    return snapshot.device_classes if snapshot.knows("device_classes") else None


def _inspect(subject: NodeSubject) -> NodeDevices:
    snapshot, node = subject.cluster.snapshot, subject.node
    return inspect(
        NodeInputs(
            node=node,
            pods=subject.pods if snapshot.knows("pods") else None,
            plugin=snapshot.device_plugin if snapshot.knows("device_plugin_config") else None,
            devices=subject.dra_devices if snapshot.knows("resource_slices") else None,
            allocations=subject.allocations if snapshot.knows("resource_claims") else None,
            counter_sets=snapshot.slices.counter_sets if subject.dra_devices else (),
            inventory=subject.cluster.inventory if snapshot.knows("resource_slices") else None,
            allocated=subject.cluster.allocated,
            taint_rules_known=snapshot.knows("device_taint_rules"),
            set_aside=set_aside(subject.dra_devices, snapshot.taint_rules, _classes(snapshot)),
            incomplete_pools=[pool for pool in snapshot.slices.incomplete_pools if node_of(pool) == node.name],
            previous=subject.history.previous,
            operator=snapshot.operator if snapshot.knows("operator") else None,
            measured_gpus=see(
                subject.samples,
                subject.history.samples,
                subject.history.known_uuids,
                subject.history.declared,
            ),
        )
    )
