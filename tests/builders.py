"""Builders of snapshot structs: a test writes down only the fact it is about, the rest is a plain healthy node.

`make_node` states what GPU feature discovery and the device plugin would write for the given cards and sharing; every label and
quantity can be overridden (None takes a label away), so that a test can make them contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from fleet.domain.devices.inputs import Previous
from fleet.domain.devices.inspection import NodeDevices
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.pools.policy import PoolSpec
from fleet.domain.pools.selection import selects
from fleet.domain.snapshot import (
    Condition,
    ContainerSnapshot,
    DevicePluginConfig,
    DevicePluginConfigs,
    DraAllocation,
    DraDevice,
    NodeSnapshot,
    PodSnapshot,
)

NODE = "gpu-node-1"
H100 = "NVIDIA-H100-80GB-HBM3"
_MEMORY = {H100: 81559, "Tesla-T4": 15360, "NVIDIA-A10G": 23028, "NVIDIA-L40S": 46068, "NVIDIA-A100-SXM4-40GB": 40960}
_FAMILY = {H100: "hopper", "Tesla-T4": "turing", "NVIDIA-L40S": "ada-lovelace"}


def make_node(
    name: str = NODE,
    *,
    gpus: int = 8,
    product: str = H100,
    sharing: str = "none",
    replicas: int = 1,
    renamed: bool = False,
    mig: Mapping[str, int] | str | None = None,
    unhealthy: int = 0,
    gfd: bool = True,
    labels: Mapping[str, str | None] | None = None,
    capacity: Mapping[str, str | int | None] | None = None,
    allocatable: Mapping[str, str | int | None] | None = None,
    ready: str | None = "True",
    **overrides: Any,
) -> NodeSnapshot:
    """A node with `gpus` physical cards.

    sharing: none, time-slicing or mps, with `replicas` per device. mig: a mapping of profile to instances on the whole node
    (mixed strategy), or one profile (single strategy: every card then carries as many instances as the profile allows).
    unhealthy: slots that are in capacity and not in allocatable. gfd=False leaves GPU feature discovery's labels out.
    `labels`, `capacity` and `allocatable` override single keys; `overrides` sets any field of NodeSnapshot.
    """
    labels_by_key: dict[str, str] = {
        "kubernetes.io/hostname": name,
        "node.kubernetes.io/instance-type": "bm.gpu.8",
        "topology.kubernetes.io/zone": "zone-a",
    }
    offered: dict[str, int] = {}
    suffix = ".shared" if renamed else ""
    if isinstance(mig, str):
        per_card = {"1": 7, "2": 3, "3": 2}.get(mig[0], 1)
        offered[f"nvidia.com/gpu{suffix}"] = gpus * per_card * replicas
    elif mig is not None:
        offered["nvidia.com/gpu"] = 0
        offered |= {f"nvidia.com/mig-{profile}{suffix}": count * replicas for profile, count in mig.items()}
    elif gpus:
        offered[f"nvidia.com/gpu{suffix}"] = gpus * replicas
    if gfd and gpus:
        labels_by_key |= _gfd_labels(gpus, product, sharing, replicas, renamed=renamed, mig=mig)
    _override(labels_by_key, labels)

    full = {key: str(value) for key, value in {"cpu": "96", "memory": "1000Gi", "pods": "250", **offered}.items()}
    free = dict(full)
    if unhealthy:
        key = next(key for key, value in offered.items() if value)
        free[key] = str(offered[key] - unhealthy)
    _override(full, capacity)
    _override(free, allocatable if allocatable is not None else capacity)
    conditions = () if ready is None else (Condition(type="Ready", status=ready, reason="KubeletReady"),)
    fields: dict[str, Any] = {
        "uid": f"uid-{name}",
        "labels": labels_by_key,
        "capacity": full,
        "allocatable": free,
        "conditions": conditions,
    }
    return NodeSnapshot(name=name, **(fields | overrides))


def _gfd_labels(
    gpus: int, product: str, sharing: str, replicas: int, *, renamed: bool, mig: Mapping[str, int] | str | None
) -> dict[str, str]:
    labels_by_key = {
        "gfd.timestamp": "1763625600",
        "gpu.present": "true",
        "gpu.product": product + ("" if replicas == 1 or renamed or mig else "-SHARED"),
        "gpu.count": str(gpus),
        "gpu.replicas": str(replicas),
        "gpu.sharing-strategy": sharing,
        "gpu.memory": str(_MEMORY.get(product, 81920)),
        "gpu.family": _FAMILY.get(product, "ampere"),
        "mig.capable": "true" if mig else "false",
        "mig.strategy": "single",
        "mps.capable": "true" if sharing == "mps" else "false",
        "vgpu.present": "false",
        "cuda.driver-version.full": "570.172.08",
        "cuda.runtime-version.full": "12.8",
    }
    if isinstance(mig, str):
        per_card = {"1": 7, "2": 3, "3": 2}.get(mig[0], 1)
        labels_by_key["gpu.product"] = f"{product}-MIG-{mig}" + ("-SHARED" if replicas > 1 and not renamed else "")
        labels_by_key |= {"gpu.count": str(gpus * per_card), "gpu.memory": "4864", "gpu.slices.gi": mig[0]}
        labels_by_key |= {"mig.config": f"all-{mig}", "mig.config.state": "success"}
    elif mig is not None:
        labels_by_key |= {"mig.strategy": "mixed", "gpu.replicas": "0", "gpu.sharing-strategy": "none"}
        for profile, count in mig.items():
            labels_by_key[f"mig-{profile}.count"] = str(count)
            labels_by_key[f"mig-{profile}.replicas"] = str(replicas)
            labels_by_key[f"mig-{profile}.sharing-strategy"] = sharing
            labels_by_key[f"mig-{profile}.memory"] = "9984"
            labels_by_key[f"mig-{profile}.product"] = f"{product}-MIG-{profile}"
    return {f"nvidia.com/{key}": value for key, value in labels_by_key.items()}


def _override(values: dict[str, str], by: Mapping[str, Any] | None) -> None:
    for key, value in (by or {}).items():
        if value is None:
            values.pop(key, None)
        else:
            values[key] = str(value)


def make_container(name: str = "main", *, gpus: int = 0, resource: str = "nvidia.com/gpu", **overrides: Any) -> ContainerSnapshot:
    """A container that asks for `gpus` of `resource`; init and sidecar by their field names."""
    fields: dict[str, Any] = {"requests": {resource: str(gpus)} if gpus else {}, "state": "running", "ready": True}
    return ContainerSnapshot(name=name, **(fields | overrides))


def make_pod(
    name: str = "train-0",
    *,
    gpus: int = 1,
    resource: str = "nvidia.com/gpu",
    node: str = NODE,
    phase: str = "Running",
    containers: Sequence[ContainerSnapshot] | None = None,
    **overrides: Any,
) -> PodSnapshot:
    """A running pod bound to `node`; without `containers` it has one that asks for `gpus` of `resource`."""
    if containers is None:
        containers = (make_container(gpus=gpus, resource=resource),)
    fields: dict[str, Any] = {"uid": f"uid-{name}", "namespace": "team-a", "ready": phase == "Running"}
    return PodSnapshot(name=name, node_name=node, phase=phase, containers=tuple(containers), **(fields | overrides))


def make_dra_device(
    index: int = 0,
    *,
    node: str = NODE,
    type: str = "gpu",
    profile: str = "",
    placement: int = 0,
    product: str = "NVIDIA H100 80GB HBM3",
    driver: str = "gpu.nvidia.com",
    **overrides: Any,
) -> DraDevice:
    """Device number `index` of a node's pool; `type="mig"` makes instance `placement` of `profile` on that card."""
    card = f"GPU-{node}-{index:04d}"
    fields: dict[str, Any] = {
        "driver": driver,
        "pool": node,
        "node_name": node,
        "type": type,
        "product": product,
        "profile": profile,
        "name": f"gpu-{index}",
        "uuid": card,
        "architecture": "Hopper",
        "memory_bytes": 81559 * 1024**2,
        "driver_version": "570.172.8",
        "cuda_version": "12.8.0",
        "pci_bus_id": f"0000:{index:02x}:00.0",
    }
    if type == "mig":
        fields |= {
            "name": f"gpu-{index}-mig-{profile.replace('.', '')}-19-{placement}",
            "uuid": f"MIG-{node}-{index:04d}-{placement}",
            "parent_uuid": card,
            "profile": profile,
            "memory_bytes": 9984 * 1024**2,
            "pci_bus_id": "",
        }
    elif type == "vfio":
        fields |= {"name": f"gpu-vfio-{index}"}
    return DraDevice(**(fields | overrides))


def make_allocation(device: DraDevice, *, claim: str = "claim-1", **overrides: Any) -> DraAllocation:
    """A claim that holds the device."""
    fields: dict[str, Any] = {
        "namespace": "team-a",
        "claim": claim,
        "driver": device.driver,
        "pool": device.pool,
        "device": device.name,
    }
    return DraAllocation(**(fields | overrides))


def make_plugin_config(
    key: str = "default",
    *,
    sharing: str = "",
    replicas: int = 1,
    resource: str = "nvidia.com/gpu",
    default: bool = True,
    **overrides: Any,
) -> DevicePluginConfigs:
    """The device-plugin ConfigMaps of a cluster with one configuration in them, the default one unless given."""
    fields: dict[str, Any] = {
        "namespace": "gpu-operator",
        "config_map": "device-plugin-config",
        "sharing": sharing,
        "replicas": {resource: replicas} if sharing else {},
    }
    config = DevicePluginConfig(key=key, **(fields | overrides))
    return DevicePluginConfigs(configs=(config,), default_key=key if default else "")


def with_pools(pools: Sequence[PoolSpec], nodes: Iterable[PlacementNode]) -> list[PlacementNode]:
    """Returns the same nodes, each with its pools."""
    return [
        msgspec.structs.replace(node, pools=tuple(pool.slug for pool in pools if selects(pool.selector, node))) for node in nodes
    ]


def previous_of(devices: NodeDevices) -> Previous:
    """Returns what the next inspection of the same node takes as `previous`: services/last_known.py reads the same from rows."""
    return Previous(
        product=devices.product,
        products=devices.products,
        family=devices.family,
        gpu_memory_mib=devices.gpu_memory_mib,
        physical=devices.physical,
        physical_is_lower_bound=devices.physical_is_lower_bound,
        partitioning=devices.partitioning,
        sharing=devices.sharing,
        replicas=devices.replicas,
        mode=devices.mode,
        mig_instances=devices.mig_instances,
        capacity={slots.name: slots.capacity for slots in devices.resources if slots.capacity},
    )
