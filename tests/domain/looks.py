"""How domain tests look at one node: everything was read, and nothing else stands in the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fleet.domain.devices.inspection import NodeDevices, NodeInputs, inspect
from fleet.domain.snapshot import DevicePluginConfigs, NodeSnapshot, PodSnapshot

A100 = "NVIDIA-A100-SXM4-40GB"


def look(node: NodeSnapshot, pods: Sequence[PodSnapshot] | None = (), **given: Any) -> NodeDevices:
    """Describes a node; `given` replaces sections (plugin, devices, allocations, incomplete_pools, previous)."""
    sections: dict[str, Any] = {"plugin": DevicePluginConfigs(), "devices": (), "allocations": ()}
    return inspect(NodeInputs(node=node, pods=pods, **(sections | given)))


def ids(devices: NodeDevices) -> set[str]:
    """Rules of the findings on its devices."""
    return {finding.rule for finding in devices.findings}


def slots(devices: NodeDevices) -> tuple[int | None, ...]:
    """Capacity, allocatable, requested, free over the whole node."""
    return (devices.slots.capacity, devices.slots.allocatable, devices.slots.requested, devices.slots.free)
