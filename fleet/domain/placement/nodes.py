"""What placement looks at: a node with its slots, as a frozen struct, and what one slot of it really is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from fleet.domain import labels
from fleet.domain.devices.inspection import NodeDevices
from fleet.domain.devices.mig import canonical, parse_profile
from fleet.domain.devices.slots import ResourceSlots
from fleet.domain.dra.status import PoolStatus
from fleet.domain.snapshot import NodeSnapshot, Taint
from fleet.domain.snapshot.scheduling import PodTerm

FULL, MIG, TIME_SLICED, MPS, MIG_SHARED = "full", "mig", "time-sliced", "mps", "mig-shared"
PARTITION = "partition"
MODES = (FULL, MIG, TIME_SLICED, MPS, MIG_SHARED, PARTITION)
"""What one slot is: a whole card of its own, a MIG instance, a time-sliced or MPS share of a card, a share of a MIG instance, or
a partition of another vendor's card (AMD's CPX)."""

_SHARES = {"time-slicing": TIME_SLICED, "mps": MPS}


HUGE_PAGES = ("hugepages-2Mi", "hugepages-1Gi")
OTHER_RESOURCES = ("cpu", "memory", "ephemeral-storage", *HUGE_PAGES)
"""Resources besides GPUs that pods of a class may request: in millicores and bytes."""


class OtherResource(msgspec.Struct, frozen=True):
    """One of OTHER_RESOURCES on a node, by the scheduler's arithmetic. None is unknown."""

    name: str
    allocatable: int | None
    free: int | None


class KeepsOut(msgspec.Struct, frozen=True):
    """A required anti-affinity term of a running pod, and that pod's namespace."""

    namespace: str
    term: PodTerm


class PlacementNode(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU node as the scheduler and the ladder see it. None is unknown, never zero."""

    cluster: str
    name: str
    labels: dict[str, str] = {}
    taints: tuple[Taint, ...] = ()
    schedulable: bool = True
    """False for a cordoned node (spec.unschedulable)."""
    verdict: str = "unknown"
    reason: str = ""
    """Why the verdict is what it is, for people."""
    broken_rung: str = ""
    """Id of the first rung that it does not reach; empty for none."""
    product: str = ""
    gpu_memory_mib: int | None = None
    """Of one physical card."""
    driver_version: str = ""
    cuda_version: str = ""
    partitioning: str | None = None
    """none, mig-single or mig-mixed."""
    sharing: str | None = None
    """exclusive, time-slicing or mps."""
    mode: str = ""
    """The mode in words, for people."""
    resources: tuple[ResourceSlots, ...] = ()
    device_memory: tuple[tuple[str, int], ...] = ()
    """MiB of one instance by MIG profile, where known, and of a partition by its mode where GPUs are partitioned on demand."""
    nvlink: bool | None = None
    """Whether NVLink connects the GPUs of the node; None where unknown."""
    pools: tuple[str, ...] = ()
    """Slugs of the pools it is a member of."""
    others: tuple[OtherResource, ...] = ()
    """What is free of OTHER_RESOURCES, where that was read."""
    pods_free: int | None = None
    """Pods it takes beside those it has (allocatable `pods`); None where unknown, which limits nothing."""
    keeps_out: tuple[KeepsOut, ...] = ()
    """Required anti-affinity of running pods that holds on this node."""
    last_verdict: str = ""
    """Verdict before it became unknown because its cluster is unreachable; empty where the verdict is current."""
    stale: bool = False
    """Its cluster was not read recently: this is last known data."""

    @property
    def key(self) -> tuple[str, str]:
        return self.cluster, self.name

    @property
    def clique(self) -> str:
        """Returns the NVLink domain it belongs to; empty where no label names one."""
        return self.labels.get(labels.GPU_CLIQUE, "")

    def other_free(self, resource: str) -> int | None:
        """Returns what is free of one of OTHER_RESOURCES; None where unknown."""
        return next((other.free for other in self.others if other.name == resource), None)

    def slots(self, resource: str) -> ResourceSlots | None:
        """Returns the slots of one resource; None where the node does not know it."""
        for slots in self.resources:
            if slots.name == resource:
                return slots
        return None


def with_cuts(
    resources: tuple[ResourceSlots, ...], memory: Mapping[str, int], pools: Iterable[PoolStatus]
) -> tuple[tuple[ResourceSlots, ...], tuple[tuple[str, int], ...]]:
    """Returns a node's resources and the MiB of its MIG profiles with the instances that can be cut on demand among them.

    A GPU that is published whole beside the ways to cut it is no slot of the class of instances, but a claim can have one. How
    many are free depends on the profile: the allocator counts them for each class.
    """
    amounts = {canonical(profile): mib for profile, mib in memory.items()}
    totals: dict[str, int] = {}
    for pool in pools:
        for cut in pool.cuts:
            if pool.driver == labels.DRA_NVIDIA_GPU:
                parsed = parse_profile(canonical(cut.profile))
                name, mib = labels.DRA_NVIDIA_MIG_CLASS, (cut.memory_mib or parsed.memory_gb * 1024) if parsed else None
            else:
                name, mib = on_demand(pool.driver), cut.memory_mib
            if mib:
                totals[name] = totals.get(name, 0) + cut.total
                amounts.setdefault(partition_profile(canonical(cut.profile)), mib)
    names = {slots.name for slots in resources}
    rows = [
        ResourceSlots(name=name, kind="dra-cut", replicas=1, capacity=0, allocatable=total, predicted=total)
        for name, total in totals.items()
        if name not in names and not any(slots.kind == "dra-cut" and on_demand(slots.name) == name for slots in resources)
    ]
    return (*resources, *rows), tuple(sorted(amounts.items()))


_ON_DEMAND = " (cut on demand)"


def on_demand(driver: str) -> str:
    """Returns the name of the slots of GPUs that are published whole beside ways to partition them, of another vendor."""
    return driver if driver.endswith(_ON_DEMAND) else driver + _ON_DEMAND


def driver_of(name: str) -> str:
    """Returns the driver whose devices the slots of this name are."""
    return name.removesuffix(_ON_DEMAND)


_AMD_MODE = re.compile(r"([sdtqc]px)(?:_nps[1-8])?", re.ASCII | re.IGNORECASE)


def partition_profile(text: str) -> str:
    """Returns AMD's compute mode as its labels write it (`CPX` of `cpx_nps4`); other text unchanged."""
    match = _AMD_MODE.fullmatch(text)
    return match[1].upper() if match else text


def placement_node(  # noqa: PLR0913 what a node is made of, given by name
    cluster: str,
    node: NodeSnapshot,
    devices: NodeDevices,
    *,
    verdict: str,
    reason: str = "",
    pools: tuple[str, ...] = (),
    stale: bool = False,
) -> PlacementNode:
    """Returns the node as placement sees it, from its snapshot and its evaluation.

    GFD writes the clique label only where the cards are attached to an NVLink fabric and have joined it (k8s-device-plugin
    internal/lm/imex.go): that is the evidence for NVLink; without it NVLink is unknown.
    """
    memory = {device.profile: device.memory_mib for device in devices.mig_devices if device.memory_mib}
    resources, device_memory = with_cuts(devices.resources, memory, devices.dra_pools)
    return PlacementNode(
        cluster=cluster,
        name=node.name,
        labels=node.labels,
        taints=node.taints,
        schedulable=not node.unschedulable,
        verdict=verdict,
        reason=reason,
        product=devices.product,
        gpu_memory_mib=devices.gpu_memory_mib,
        driver_version=devices.driver_version,
        cuda_version=devices.cuda_version,
        partitioning=devices.partitioning,
        sharing=devices.sharing,
        mode=devices.mode,
        resources=resources,
        device_memory=device_memory,
        nvlink=True if node.labels.get(labels.GPU_CLIQUE) else None,
        pools=pools,
        stale=stale,
    )


def slot_mode(node: PlacementNode, slots: ResourceSlots) -> str | None:
    """Returns what one slot of this resource is (one of MODES); None where unknown, or where it is for virtual machines."""
    match slots.kind:
        case "dra-gpu":
            return FULL
        case "dra-mig":
            return MIG
        case "dra-cut":
            return MIG if slots.name == labels.DRA_NVIDIA_MIG_CLASS else PARTITION
        case "partition" | "dra-partition":
            return PARTITION
        case "dra-share":  # no driver limits what a share uses (see sharing.isolation): what time-slicing promises, and no more
            return TIME_SLICED
        case "mig":
            replicas = _replicas(node, slots)
            return None if replicas is None else MIG_SHARED if replicas > 1 else MIG
        case "mig-shared":
            return MIG_SHARED
        case "shared":
            return _SHARES.get(node.sharing or "")
        case "gpu":
            return _of_plain_name(node, slots)
    return None


def _of_plain_name(node: PlacementNode, slots: ResourceSlots) -> str | None:
    """Returns the mode behind `nvidia.com/gpu` and its like, a name that GPUs, instances and shares all have."""
    replicas = _replicas(node, slots)
    if replicas is None or node.partitioning is None:
        return None
    if slots.profile or node.partitioning == "mig-single":
        return MIG_SHARED if replicas > 1 else MIG
    return FULL if replicas == 1 else _SHARES.get(node.sharing or "")


def _replicas(node: PlacementNode, slots: ResourceSlots) -> int | None:
    return 1 if slots.replicas is None and node.sharing == "exclusive" else slots.replicas


def slot_profiles(node: PlacementNode, slots: ResourceSlots) -> frozenset[str]:
    """Returns the canonical MIG profiles or partition modes of the slots: a name of DRA stands for instances of every profile."""
    if slots.profile or slots.kind not in ("dra-mig", "dra-cut"):
        return frozenset([partition_profile(canonical(slots.profile))] if slots.profile else [])
    profiles = {profile for profile, _ in node.device_memory}
    if slot_mode(node, slots) == MIG:
        return frozenset(canonical(profile) for profile in profiles)
    return frozenset(profile for profile in profiles if parse_profile(profile) is None)


def slot_memory(node: PlacementNode, slots: ResourceSlots, profile: str = "") -> int | None:
    """Returns the MiB that one slot may use; None where unknown. `profile` is the instance wanted where slots have several.

    An MPS client is held to its part of the card (memory ÷ replicas); a time-sliced one sees all of it, and so do its neighbours.
    """
    match slot_mode(node, slots):
        case "full" | "time-sliced":
            return node.gpu_memory_mib
        case "mps":
            return node.gpu_memory_mib // slots.replicas if node.gpu_memory_mib and slots.replicas else None
        case "mig" | "mig-shared" | "partition":
            wanted = canonical(slots.profile or profile)
            return next((mib for profile, mib in node.device_memory if canonical(profile) == partition_profile(wanted)), None)
    return None
