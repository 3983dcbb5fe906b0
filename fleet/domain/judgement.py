"""From one snapshot to one judged node each: the step between looking and remembering."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from fleet.domain import labels
from fleet.domain.devices import NodeDevices, Previous, describe
from fleet.domain.facts import Facts, node_facts, stack_states
from fleet.domain.gpu_nodes import gpu_evidence
from fleet.domain.snapshot import ClusterSnapshot, DraAllocation, DraDevice, NodeSnapshot, PodSnapshot

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
    fingerprint: str
    pods_fingerprint: str


def judge(snapshot: ClusterSnapshot, previous: Mapping[str, Previous] | None = None) -> list[JudgedNode]:
    """Every GPU node of the snapshot, in its order. A node that says it has none any more is left out.

    `previous` holds, by uid, what may stand in for labels that are away for a moment (domain.reading.Previous).
    """
    before = previous or {}
    pods_of: dict[str, list[PodSnapshot]] = defaultdict(list)
    for pod in snapshot.pods:
        pods_of[pod.node_name].append(pod)
    devices_of: dict[str, list[DraDevice]] = defaultdict(list)
    for device in snapshot.slices.devices:
        devices_of[device.node_name].append(device)
    node_of_pool = {(device.driver, device.pool): device.node_name for device in snapshot.slices.devices}
    allocations_of: dict[str, list[DraAllocation]] = defaultdict(list)
    for allocation in snapshot.allocations:
        allocations_of[node_of_pool.get((allocation.driver, allocation.pool), "")].append(allocation)

    return [
        _judge_node(snapshot, node, pods_of[node.name], devices_of[node.name], allocations_of[node.name], before.get(node.uid))
        for node in snapshot.nodes
        if not _says_it_has_none(node, devices_of[node.name])
    ]


def _says_it_has_none(node: NodeSnapshot, devices: Sequence[DraDevice]) -> bool:
    return node.labels.get(labels.GPU_PRESENT) == "false" and not gpu_evidence(node, devices)


def _judge_node(
    snapshot: ClusterSnapshot,
    node: NodeSnapshot,
    pods: Sequence[PodSnapshot],
    devices: Sequence[DraDevice],
    allocations: Sequence[DraAllocation],
    previous: Previous | None,
) -> JudgedNode:
    described = describe(
        node,
        pods=pods if snapshot.knows("pods") else None,
        plugin=snapshot.device_plugin if snapshot.knows("device_plugin_config") else None,
        devices=devices if snapshot.knows("resource_slices") else None,
        allocations=allocations if snapshot.knows("resource_claims") else None,
        incomplete_pools=[pool for pool in snapshot.slices.incomplete_pools if pool.node_name == node.name],
        previous=previous,
    )
    ready = next((c.status for c in node.conditions if c.type == "Ready"), None)
    kubelet_ready = None if ready is None else ready == "True"
    stack = stack_states(pods)
    facts = node_facts(node, devices, stack)
    state = _state(node, described, kubelet_ready)
    reason = described.reason
    return JudgedNode(
        node=node,
        devices=described,
        pods=tuple(pods),
        dra_devices=tuple(devices),
        allocations=tuple(allocations),
        stack=stack,
        facts=facts,
        kubelet_ready=kubelet_ready,
        state=state,
        offered=_offered(described, state),
        reason=reason,
        fingerprint=fingerprint(facts, described, state, [c.reason for c in node.conditions], allocations),
        pods_fingerprint=fingerprint(sorted(pods, key=lambda pod: pod.uid)),
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
