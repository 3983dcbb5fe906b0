"""Builders of placement nodes: a test writes down only the fact it is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.domain.devices.inspection import NodeInputs, inspect
from fleet.domain.devices.slots import ResourceSlots
from fleet.domain.placement.nodes import PlacementNode, placement_node
from tests.builders import H100, make_node, make_pod

GPU = "nvidia.com/gpu"


def slots(name: str = GPU, allocatable: int | None = 8, used: int | None = 0, **overrides: Any) -> ResourceSlots:
    """Slots of one resource; capacity equals allocatable unless given."""
    kind = "shared" if name.endswith("gpu.shared") else "mig" if "/mig-" in name else "gpu"
    fields: dict[str, Any] = {
        "kind": kind,
        "profile": name.rpartition("mig-")[2] if kind == "mig" else "",
        "replicas": 1,
        "capacity": allocatable,
        "allocatable": allocatable,
        "requested": used,
        "free": None if allocatable is None or used is None else allocatable - used,
    }
    return ResourceSlots(name=name, **(fields | overrides))


def bare(name: str = "n1", *offered: ResourceSlots, labels: Mapping[str, str] | None = None, **overrides: Any) -> PlacementNode:
    """A ready node of H100s with nothing but these slots (8 free GPUs unless given)."""
    fields: dict[str, Any] = {
        "cluster": "east",
        "verdict": "ready",
        "product": H100,
        "gpu_memory_mib": 81559,
        "driver_version": "570.172.08",
        "cuda_version": "12.8",
        "partitioning": "none",
        "sharing": "exclusive",
        "resources": offered or (slots(),),
    }
    return PlacementNode(name=name, labels=dict(labels or {}), **(fields | overrides))


def real(
    name: str = "n1",
    *,
    used: int = 0,
    resource: str = GPU,
    cluster: str = "east",
    verdict: str = "ready",
    pools: tuple[str, ...] = (),
    stale: bool = False,
    nvlink: bool | None = None,
    **node: Any,
) -> PlacementNode:
    """A node as it really comes: labels and quantities as make_node writes them, judged by domain.devices."""
    snapshot = make_node(name, **node)
    pods = [make_pod(f"pod-{name}", gpus=used, resource=resource, node=name)] if used else []
    devices = inspect(NodeInputs(node=snapshot, pods=pods, plugin=None, devices=(), allocations=()))
    made = placement_node(cluster, snapshot, devices, verdict=verdict, pools=pools, stale=stale)
    if nvlink is None:
        return made
    return PlacementNode(**{field: getattr(made, field) for field in made.__struct_fields__} | {"nvlink": nvlink})
