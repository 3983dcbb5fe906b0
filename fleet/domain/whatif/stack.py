"""What the GPU stack advertises once it has applied a configuration: the node's labels, capacity and allocatable afterwards.

As device plugin, GPU feature discovery and MIG manager do it (k8s-device-plugin v0.20, mig-parted v0.15).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from fleet.domain import labels
from fleet.domain.devices.inspection import NodeDevices
from fleet.domain.devices.sources.gfd import split_product
from fleet.domain.refusals import Refused
from fleet.domain.snapshot import DevicePluginConfig, NodeSnapshot

SINGLE, MIXED = "single", "mixed"
_COUNTED = ("gpu", "shared", "mig", "mig-shared")
_OWN_LABELS = (labels.GPU_REPLICAS, labels.GPU_SHARING_STRATEGY, labels.GPU_PRODUCT, labels.GPU_COUNT, labels.GPU_MEMORY)
_OWN_PREFIXES = ("nvidia.com/gpu.slices.", "nvidia.com/gpu.engines.", "nvidia.com/gpu.multiprocessors")


def advertise(
    node: NodeSnapshot,
    devices: NodeDevices,
    profiles: Mapping[str, int] | None,
    config: DevicePluginConfig | None,
    strategy: str = "",
) -> NodeSnapshot:
    """Returns the node as it is after the stack has applied MIG profiles per GPU and a device-plugin configuration.

    `profiles` None leaves the GPUs cut as they are, {} makes them whole. `strategy` is the cluster's, where no label of the node
    states one. Raises Refused, with the reason, where that is not known.
    """
    gpus = _countable(node, devices)
    strategy = (config.mig_strategy if config else "") or node.labels.get(labels.MIG_STRATEGY, "") or strategy or SINGLE
    registered = _registered(devices) if profiles is None else _cut(profiles, gpus, strategy, _lost(devices))
    layout = _Layout(
        product=split_product(node.labels[labels.GPU_PRODUCT])[0],
        gpus=gpus,
        instances=_instances(devices, profiles, gpus),
        whole=labels.NVIDIA_GPU in registered,
        strategy=strategy,
        memory_mib=devices.gpu_memory_mib,
    )
    made = _labels(node, layout, config)
    if profiles is not None:
        made |= {labels.MIG_CONFIG_STATE: "success"}
    return msgspec.structs.replace(
        node,
        labels=dict(sorted(made.items())),
        capacity=_resources(node.capacity, {name: counted[0] for name, counted in registered.items()}, config),
        allocatable=_resources(node.allocatable, {name: counted[1] for name, counted in registered.items()}, config),
    )


_Registered = dict[str, tuple[int, int]]
"""Resource, without `.shared`, to the devices behind it: all, and those that are allocatable."""


def _registered(devices: NodeDevices) -> _Registered:
    """Returns what the plugin registers now, before sharing."""
    registered: _Registered = {}
    for slots in devices.resources:
        if slots.kind not in _COUNTED or slots.capacity == 0:
            continue
        if slots.capacity is None or slots.allocatable is None or not slots.replicas or slots.capacity % slots.replicas:
            raise Refused(f"How many devices are behind {slots.name} is unknown.")
        base = labels.base_resource(slots.name)
        before = registered.get(base, (0, 0))
        registered[base] = before[0] + slots.capacity // slots.replicas, before[1] + slots.allocatable // slots.replicas
    return registered


def _lost(devices: NodeDevices) -> int:
    """Returns the devices whose slots are in the capacity and not allocatable."""
    return sum(count - usable for count, usable in _registered(devices).values())


def _cut(profiles: Mapping[str, int], gpus: int, strategy: str, lost: int) -> _Registered:
    """Returns what the plugin registers once every GPU is cut into these profiles."""
    if lost:
        raise Refused(f"{lost} devices are not allocatable now: what they become is unknown.")
    if not profiles:
        return {labels.NVIDIA_GPU: (gpus, gpus)}
    if strategy not in (SINGLE, MIXED):
        raise Refused(f"With the MIG strategy {strategy} the plugin does not hand out MIG instances.")
    if strategy == MIXED:
        names = {labels.NVIDIA_MIG_PREFIX + name.replace("+", "."): number * gpus for name, number in profiles.items()}
        return {name: (number, number) for name, number in names.items()}
    if len(profiles) > 1:
        raise Refused("The MIG strategy is single: several profiles on one node are an invalid layout.")
    number = sum(profiles.values()) * gpus
    return {labels.NVIDIA_GPU: (number, number)}


def _countable(node: NodeSnapshot, devices: NodeDevices) -> int:
    if devices.vendor != "nvidia" or labels.GPU_PRODUCT not in node.labels:
        raise Refused("Only nodes with labels of GPU feature discovery can be forecast.")
    if any(slots.kind.startswith("dra-") for slots in devices.resources):
        raise Refused("Its GPUs are handed out through DRA: no device plugin applies a configuration.")
    if labels.GKE_SHARING_STRATEGY in node.labels or labels.GKE_PARTITION_SIZE in node.labels:
        raise Refused("GKE manages sharing and partitioning of its nodes.")
    if len(devices.products) > 1:
        raise Refused("It has GPUs of several products, and the labels describe one.")
    if devices.physical is None or devices.physical_is_lower_bound:
        raise Refused("The number of its physical GPUs is unknown.")
    return devices.physical


def _instances(devices: NodeDevices, profiles: Mapping[str, int] | None, gpus: int) -> dict[str, int]:
    """Returns MIG instances of the whole node by profile."""
    if profiles is not None:
        return {name: number * gpus for name, number in profiles.items()}
    if devices.partitioning is None or devices.mig_instances is None:
        raise Refused("How its GPUs are partitioned is unknown.")
    return dict(devices.mig_instances)


def replicas_of(config: DevicePluginConfig | None, resource: str) -> int:
    """Returns the slots per device that a configuration declares."""
    return max(config.replicas.get(resource, 1), 1) if config is not None and config.sharing else 1


def _resources(before: Mapping[str, str], devices: Mapping[str, int], config: DevicePluginConfig | None) -> dict[str, str]:
    """Returns the quantities; names that are no longer registered stay at 0, as the kubelet leaves them."""
    made = {name: "0" if labels.resource_kind(name) in _COUNTED else amount for name, amount in before.items()}
    for name, number in devices.items():
        replicas = replicas_of(config, name)
        renamed = config is not None and config.rename_by_default and replicas > 1
        made[name + labels.SHARED_SUFFIX if renamed else name] = str(number * replicas)
    return dict(sorted(made.items()))


class _Layout(msgspec.Struct, frozen=True):
    """How the GPUs of a node are cut, as GPU feature discovery will find them."""

    product: str
    gpus: int
    instances: Mapping[str, int]
    """MIG instances of the node by profile."""
    whole: bool
    """Whether the plain resource is registered: whole GPUs, or all instances under the strategy single."""
    strategy: str
    memory_mib: int | None
    """Of one whole GPU."""

    @property
    def mixed(self) -> bool:
        return bool(self.instances) and self.strategy == MIXED


def _labels(node: NodeSnapshot, layout: _Layout, config: DevicePluginConfig | None) -> dict[str, str]:
    made = {key: value for key, value in node.labels.items() if not _of_layout(key)}
    shared = config.sharing if config is not None else ""
    replicas = replicas_of(config, labels.NVIDIA_GPU)
    suffix = "" if config is not None and config.rename_by_default else "-SHARED"
    name, count = layout.product, layout.gpus
    if layout.instances and not layout.mixed:
        profile, count = next(iter(layout.instances.items()))
        name = f"{name}-MIG-{profile.replace('+', '.')}"  # the memory of one instance is not known before it exists
    elif layout.memory_mib is not None:
        made[labels.GPU_MEMORY] = str(layout.memory_mib)
    is_shared = replicas > 1 and layout.whole
    made |= {
        labels.GPU_PRODUCT: name + (suffix if is_shared else ""),
        labels.GPU_COUNT: str(count),
        labels.GPU_REPLICAS: str(replicas) if layout.whole else "0",
        labels.GPU_SHARING_STRATEGY: shared if is_shared else "none",
    }
    if labels.MPS_CAPABLE in node.labels:
        made[labels.MPS_CAPABLE] = "true" if shared == "mps" else "false"
    if layout.mixed:
        made |= _labels_of_profiles(layout.product, layout.instances, config, suffix)
        made[labels.MIG_STRATEGY] = MIXED
    return made


def _of_layout(key: str) -> bool:
    """Returns whether GPU feature discovery writes this label by how GPUs are cut and shared."""
    return key in _OWN_LABELS or key.startswith((labels.MIG_LABEL_PREFIX, *_OWN_PREFIXES))


def _labels_of_profiles(
    product: str, instances: Mapping[str, int], config: DevicePluginConfig | None, suffix: str
) -> dict[str, str]:
    made: dict[str, str] = {}
    for profile, number in instances.items():
        prefix = labels.NVIDIA_MIG_PREFIX + profile.replace("+", ".")
        replicas = replicas_of(config, prefix)
        made |= {
            f"{prefix}.count": str(number),
            f"{prefix}.replicas": str(replicas),
            f"{prefix}.sharing-strategy": config.sharing if config is not None and replicas > 1 else "none",
            f"{prefix}.product": f"{product}-MIG-{profile}{suffix if replicas > 1 else ''}",
        }
    return made
