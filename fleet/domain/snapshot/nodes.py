"""Nodes as the API server reported them."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Taint(msgspec.Struct, frozen=True):
    key: str
    value: str = ""
    effect: str = ""

    def __str__(self) -> str:
        """`key=value:Effect`, as kubectl writes it."""
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """A node condition without its heartbeat, which is no fact about the node but about the last report."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_at: datetime | None = None


class NodeInfo(msgspec.Struct, frozen=True, kw_only=True):
    kernel: str = ""
    os_image: str = ""
    container_runtime: str = ""
    kubelet: str = ""
    architecture: str = ""
    operating_system: str = ""
    boot_id: str = ""

    @property
    def is_wsl2(self) -> bool:
        """Returns whether the node is a Linux under Windows, which reaches the GPUs through Windows' driver."""
        return "microsoft" in self.kernel.lower()


class FieldManager(msgspec.Struct, frozen=True, kw_only=True):
    """Who wrote one field of an object last, by its managedFields."""

    field: str
    """unschedulable, taints, label KEY or annotation KEY; `taint` of a DeviceTaintRule, `devices` of a ResourceSlice."""
    manager: str
    """As the client named itself: kubectl-cordon, nvsentinel, karpenter …"""
    at: datetime | None = None
    """When this manager last wrote to the object."""


class NodeSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One node of any kind; whether it is a GPU node is decided in domain/devices.py."""

    name: str
    uid: str
    created_at: datetime | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    """Only the keys that Muster reads (nvidia.com/*, registers of share schedulers); the rest is noise that changes often."""
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    provider_id: str = ""
    capacity: dict[str, str] = {}
    allocatable: dict[str, str] = {}
    conditions: tuple[Condition, ...] = ()
    node_info: NodeInfo = NodeInfo()
    managers: tuple[FieldManager, ...] = ()
    """Who set the cordon, taints, labels and annotations that take the node out of service; empty where nothing does."""

    def manager_of(self, field: str) -> FieldManager | None:
        """Returns who wrote a field last; None where that was not read."""
        return next((manager for manager in self.managers if manager.field == field), None)


class NodeEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One Kubernetes Event about a node: reported by a component once, or repeated with the same text."""

    uid: str
    node_name: str
    node_uid: str = ""
    """As the writer gave it; some write the node's name here."""
    type: str = ""
    """Normal, Warning, or any other word of its component."""
    reason: str = ""
    message: str = ""
    component: str = ""
    """The component that wrote it."""
    count: int = 1
    """How often it was reported, from `first_at` to `last_at`."""
    first_at: datetime
    last_at: datetime
