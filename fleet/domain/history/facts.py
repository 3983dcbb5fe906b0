"""Facts of a node as flat text: content of a revision, and the difference of two revisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fleet.domain.snapshot import DraDevice, NodeSnapshot, PodSnapshot

Facts = dict[str, dict[str, str]]
"""Section (labels, taints, capacity, allocatable, node, conditions, stack, devices) to key to value."""

# The kubelet re-measures these by a few bytes at every restart: kept in the node's row, left out of its history.
_JITTERS = frozenset({"ephemeral-storage", "memory", "hugepages-1Gi", "hugepages-2Mi"})


def node_facts(node: NodeSnapshot, devices: Iterable[DraDevice], stack: Mapping[str, str]) -> Facts:
    """Returns the facts of a node that are stored; without heartbeats, images and messages."""
    info = node.node_info
    return {
        "labels": dict(sorted(node.labels.items())),
        "taints": {f"{taint.key}:{taint.effect}": taint.value for taint in node.taints},
        "capacity": _quantities(node.capacity),
        "allocatable": _quantities(node.allocatable),
        "node": {
            "kernel": info.kernel,
            "os_image": info.os_image,
            "container_runtime": info.container_runtime,
            "kubelet": info.kubelet,
            "architecture": info.architecture,
            "boot_id": info.boot_id,
            "provider_id": node.provider_id,
            "unschedulable": "true" if node.unschedulable else "false",
        },
        "conditions": {condition.type: condition.status for condition in node.conditions},
        "stack": dict(sorted(stack.items())),
        "devices": {f"{device.driver}/{device.name}": device.uuid or device.profile or device.product for device in devices},
    }


def _quantities(resources: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in sorted(resources.items()) if name not in _JITTERS}


def diff(before: Facts, after: Facts) -> list[dict[str, str | None]]:
    """Returns the changes in reading order: {"section", "key", "before", "after"}; None means absent."""
    changes: list[dict[str, str | None]] = []
    for section in sorted({*before, *after}):
        old, new = before.get(section, {}), after.get(section, {})
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                changes.append({"section": section, "key": key, "before": old.get(key), "after": new.get(key)})
    return changes


def stack_states(pods: Iterable[PodSnapshot]) -> dict[str, str]:
    """Returns GPU stack component to the state of its pod: `ready`, the reason it is not, or its phase in lower case.

    Of several pods of one component the worst counts: a second exporter that fails must not hide behind the first.
    """
    states: dict[str, str] = {}
    for pod in pods:
        if not pod.component or pod.phase == "Succeeded":
            continue
        state = "ready" if pod.ready else pod.reason or pod.phase.lower() or "unknown"
        if states.get(pod.component, "ready") == "ready":
            states[pod.component] = state
    return states
