"""From one snapshot to one judged node each: the step between looking and remembering.

First every node's devices are described; then the rules of health and lint look at each node and at all of them; then each
node climbs the ladder.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TypeVar

import msgspec

from fleet.domain import labels, rules
from fleet.domain.devices import NodeDevices, describe
from fleet.domain.facts import Facts, node_facts, stack_states
from fleet.domain.findings import RuleResult
from fleet.domain.gpu_nodes import gpu_evidence, node_of
from fleet.domain.health import events
from fleet.domain.health.rules import CLUSTER_RULES as HEALTH_CLUSTER_RULES
from fleet.domain.health.rules import RULES as HEALTH_RULES
from fleet.domain.lint.rules import CLUSTER_RULES as LINT_CLUSTER_RULES
from fleet.domain.lint.rules import RULES as LINT_RULES
from fleet.domain.readiness.run import climb
from fleet.domain.readiness.types import Readiness
from fleet.domain.seen import see
from fleet.domain.snapshot import ClusterSnapshot, DraAllocation, DraDevice, NodeSnapshot, PodSnapshot
from fleet.domain.sources import cloud
from fleet.domain.subject import ClusterMemory, ClusterStack, NodeMemory, NodeSubject

T = TypeVar("T")

_encode = msgspec.json.Encoder(order="deterministic").encode


class JudgedNode(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU node with everything that is remembered of it."""

    node: NodeSnapshot
    devices: NodeDevices
    pods: tuple[PodSnapshot, ...]
    dra_devices: tuple[DraDevice, ...]
    allocations: tuple[DraAllocation, ...]
    stack: dict[str, str]
    facts: Facts
    kubelet_ready: bool | None
    state: str
    """cordoned, not_ready, or what the node advertises: full, partial, none, unknown."""
    offered: int | None
    """Physical GPUs the scheduler can hand out; None where that cannot be known."""
    reason: str
    readiness: Readiness
    results: tuple[RuleResult, ...]
    """What every health and lint rule said of this node."""
    pending: dict[str, datetime]
    """Findings that need to last before they count: `rule|key` to since when they are seen."""
    fingerprint: str
    pods_fingerprint: str


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """One snapshot, judged."""

    nodes: tuple[JudgedNode, ...] = ()
    results: tuple[RuleResult, ...] = ()
    """What the rules over the whole cluster said."""


def judge(snapshot: ClusterSnapshot, memory: ClusterMemory | None = None) -> Judgement:
    """Every GPU node of the snapshot, in its order. A node that says it has none any more is left out."""
    known = memory or ClusterMemory()
    subjects = []
    allocations = _allocations_by_node(snapshot)
    for subject in _subjects(snapshot, known):
        held = allocations[subject.node.name]
        subjects.append((msgspec.structs.replace(subject, devices=_describe(subject, held)), held))
    everyone = [subject for subject, _ in subjects]
    return Judgement(
        nodes=tuple(_judge_node(subject, tuple(held)) for subject, held in subjects),
        results=(*rules.run_cluster(HEALTH_CLUSTER_RULES, everyone), *rules.run_cluster(LINT_CLUSTER_RULES, everyone)),
    )


def _subjects(snapshot: ClusterSnapshot, memory: ClusterMemory) -> Iterator[NodeSubject]:
    """Each GPU node with what hangs on it, its devices not yet described."""
    pods = _by_node(snapshot.pods, lambda pod: pod.node_name)
    devices = _by_node(snapshot.slices.devices, node_of)
    samples = _by_node(snapshot.telemetry.samples, lambda sample: sample.node_name)
    exporters = _by_node(snapshot.telemetry.exporters, lambda exporter: exporter.node_name)
    servers = _by_node(snapshot.telemetry.servers, lambda server: server.node_name)
    told = _by_node(snapshot.events, lambda event: event.node_name)
    stack = _stack(snapshot)
    for node in snapshot.nodes:
        name = node.name
        if node.labels.get(labels.GPU_PRESENT) == "false" and not gpu_evidence(node, devices[name]):
            continue
        yield NodeSubject(
            now=snapshot.taken_at,
            snapshot=snapshot,
            node=node,
            devices=NOT_DESCRIBED,
            pods=tuple(pods[name]),
            dra_devices=tuple(devices[name]),
            samples=tuple(samples[name]),
            exporters=tuple(exporters[name]),
            servers=tuple(servers[name]),
            events=events.of_node(node, told[name]),
            memory=_as_ordered(memory.of(node.uid), node),
            policy=memory.policy(node.uid),
            cluster=memory,
            stack=stack,
        )


def _as_ordered(memory: NodeMemory, node: NodeSnapshot) -> NodeMemory:
    """The memory with the number of GPUs that this very machine was ordered with, where more was learned from others.

    What was seen on this node itself stands: a cloud's label may be wrong, a card that was there may be lost.
    """
    ordered = cloud.read(node.labels).count
    if ordered is None or memory.expected is None or memory.expected_source == "declared":
        return memory
    seen_here = max(len(memory.known_uuids), (memory.previous and memory.previous.physical) or 0)
    own = max(ordered, seen_here)
    if own >= memory.expected:
        return memory
    return msgspec.structs.replace(memory, expected=own, expected_source="ordered")


def _stack(snapshot: ClusterSnapshot) -> ClusterStack:
    parts = {pod.component for pod in snapshot.pods} | {daemons.component for daemons in snapshot.operator.daemonsets}
    return ClusterStack(
        components=frozenset(parts - {""}),
        gfd_labels=any(labels.GPU_PRODUCT in node.labels for node in snapshot.nodes),
        telemetry=bool(snapshot.telemetry.exporters or snapshot.telemetry.samples),
    )


NOT_DESCRIBED = describe(NodeSnapshot(name="", uid=""), pods=None, plugin=None, devices=None, allocations=None)


def _by_node(things: Iterable[T], node_of: Callable[[T], str]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = defaultdict(list)
    for thing in things:
        found[node_of(thing)].append(thing)
    return found


def _allocations_by_node(snapshot: ClusterSnapshot) -> dict[str, list[DraAllocation]]:
    node_of_pool = {(device.driver, device.pool): node_of(device) for device in snapshot.slices.devices}
    return _by_node(snapshot.allocations, lambda held: node_of_pool.get((held.driver, held.pool), ""))


def _describe(subject: NodeSubject, allocations: list[DraAllocation]) -> NodeDevices:
    snapshot, node = subject.snapshot, subject.node
    return describe(
        node,
        pods=subject.pods if snapshot.knows("pods") else None,
        plugin=snapshot.device_plugin if snapshot.knows("device_plugin_config") else None,
        devices=subject.dra_devices if snapshot.knows("resource_slices") else None,
        allocations=allocations if snapshot.knows("resource_claims") else None,
        incomplete_pools=[pool for pool in snapshot.slices.incomplete_pools if node_of(pool) == node.name],
        previous=subject.memory.previous,
        seen_cards=see(
            subject.samples,
            subject.memory.samples,
            subject.memory.known_uuids,
            subject.memory.expected if subject.memory.expected_source == "declared" else None,
        ),
    )


def _judge_node(subject: NodeSubject, allocations: tuple[DraAllocation, ...]) -> JudgedNode:
    node, described = subject.node, subject.devices
    ready = next((c.status for c in node.conditions if c.type == "Ready"), None)
    kubelet_ready = None if ready is None else ready == "True"
    stack = stack_states(subject.pods)
    facts = node_facts(node, subject.dra_devices, stack)
    state = _state(node, described, kubelet_ready)
    health, pending = rules.settle(rules.run(HEALTH_RULES, subject), subject)
    lint, more_pending = rules.settle(rules.run(LINT_RULES, subject), subject)
    readiness = climb(subject, health)
    results, reasons = (*health, *lint), [c.reason for c in node.conditions]
    return JudgedNode(
        node=node,
        devices=described,
        pods=subject.pods,
        dra_devices=subject.dra_devices,
        allocations=allocations,
        stack=stack,
        facts=facts,
        kubelet_ready=kubelet_ready,
        state=state,
        offered=_offered(described, state),
        reason=described.reason,
        readiness=readiness,
        results=results,
        pending=pending | more_pending | readiness.remember,
        # What has not lasted long enough to count comes and goes with every look: it is remembered without being a change.
        fingerprint=fingerprint(facts, described, state, reasons, allocations, readiness, rules.findings(results)),
        pods_fingerprint=fingerprint(sorted(subject.pods, key=lambda pod: pod.uid)),
    )


def _state(node: NodeSnapshot, described: NodeDevices, kubelet_ready: bool | None) -> str:
    if node.unschedulable:
        return "cordoned"
    if kubelet_ready is None:
        return "unknown"
    return described.advertised if kubelet_ready else "not_ready"


def _offered(described: NodeDevices, state: str) -> int | None:
    """Whole cards that the scheduler can hand out. A card of which only some shares are healthy does not count."""
    if state in ("cordoned", "not_ready", "none"):
        return 0
    if described.physical is None or state == "unknown":
        return None
    if state == "full":
        return described.physical
    allocatable, predicted = described.slots.allocatable, described.slots.capacity
    if allocatable is None or not predicted:
        return None
    return min(described.physical, described.physical * allocatable // predicted)


def fingerprint(*facts: object) -> str:
    """16 bytes in hexadecimal over any structs, equal exactly where the facts are equal."""
    return hashlib.blake2b(b"\0".join(_encode(fact) for fact in facts), digest_size=16).hexdigest()
