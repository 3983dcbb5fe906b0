"""Pods as the API server reported them: workloads with GPUs, parts of the GPU stack, and whatever runs on a GPU node."""

from __future__ import annotations

from datetime import datetime

import msgspec

from fleet.domain.snapshot.scheduling import PodScheduling


class ContainerPort(msgspec.Struct, frozen=True):
    """A TCP port that a container declares."""

    number: int
    name: str = ""


class ContainerSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One container of a pod. `init` with `sidecar` is a restartable init container (restartPolicy: Always)."""

    name: str
    image: str = ""
    init: bool = False
    sidecar: bool = False
    requests: dict[str, str] = {}
    """Extended resources only (names with a slash); limits count as requests where no request is written."""
    privileged: bool = False
    visible_devices: str = ""
    """NVIDIA_VISIBLE_DEVICES of the pod's own specification: granted without a request; an image may set it too."""
    state: str = ""
    """waiting, running or terminated; empty before the kubelet has reported."""
    reason: str = ""
    """Reason of the waiting or terminated state: CrashLoopBackOff, Completed …"""
    exit_code: int | None = None
    ready: bool = False
    restarts: int = 0
    ports: tuple[ContainerPort, ...] = ()
    """Of app containers."""


class DeviceAllocation(msgspec.Struct, frozen=True, kw_only=True):
    """A device that a container has, by the kubelet (KEP-4680, allocatedResourcesStatus)."""

    resource: str
    device_id: str
    health: str = ""


class PodSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One pod that matters: it requests or has GPU resources, belongs to the GPU stack, or runs on a GPU node."""

    uid: str
    namespace: str
    name: str
    node_name: str = ""
    """Empty while unscheduled."""
    phase: str = ""
    created_at: datetime | None = None
    started_at: datetime | None = None
    deleting_since: datetime | None = None
    """Set while terminating: such a pod still holds its devices."""
    owner_kind: str = ""
    owner_name: str = ""
    labels: dict[str, str] = {}
    ready: bool = False
    reason: str = ""
    """status.reason, or the most specific container reason, or the scheduler's reason while pending."""
    message: str = ""
    priority_class: str = ""
    containers: tuple[ContainerSnapshot, ...] = ()
    claims: tuple[str, ...] = ()
    """Names of the ResourceClaims (same namespace) this pod uses."""
    devices: tuple[DeviceAllocation, ...] = ()
    gpu_share: str = ""
    """The share of a GPU that its annotations state instead of a request (KAI, Run:ai): `gpu-fraction 0.5`; empty for none."""
    placement: str = ""
    """Annotation muster.dev/placement: digest of the placement that the manifest was written for."""
    pod_group: str = ""
    """PodGroup of Volcano or KAI that its annotations name, in its namespace; empty for none."""
    component: str = ""
    """Which part of the GPU stack this is (device-plugin, driver, toolkit, dcgm-exporter …); empty for a workload."""
    signals: tuple[str, ...] = ()
    """Types of its conditions that are True and that an outside tool writes about the node (catalog/monitors.toml)."""
    poses_as: str = ""
    """The part of the GPU stack that its labels claim, where its owner or namespace does not fit (collectors/trust.py)."""
    ip: str = ""
    """Its first address; empty before it has one."""
    scheduling: PodScheduling | None = None
    """What the scheduler reads of it; None in data of an older run."""
