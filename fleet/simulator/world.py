"""The simulated world: clusters, nodes, cards and pods as plain state. What the API shows of it is made in objects_*.py."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from fleet.simulator.hardware import GpuModel, Machine, MigProfile
from fleet.simulator.seeds import Seed

if TYPE_CHECKING:
    from fleet.simulator.templates import Template

GPU = "nvidia.com/gpu"


@dataclass(slots=True)
class Instance:
    """One MIG instance."""

    uuid: str
    profile: MigProfile
    gi_id: int
    start: int


@dataclass(slots=True)
class Gpu:
    """One physical GPU."""

    index: int
    uuid: str
    model: GpuModel
    pci: str
    """Bus id with a four-digit domain, lower case."""
    mig: bool = False
    instances: list[Instance] = field(default_factory=list)
    healthy: bool = True
    xid: int = 0
    """The last XID the driver reported; 0 for none. It stays until the exporter restarts."""


class Slot(NamedTuple):
    """One unit a device plugin advertises: a GPU, a MIG instance, or a share of either."""

    id: str
    resource: str
    gpu: int
    instance: str = ""
    replica: int | None = None


@dataclass(slots=True)
class Pod:
    """One pod. `template` holds what it shares with its siblings."""

    name: str
    namespace: str
    uid: str
    template: Template
    created: datetime
    node: str = ""
    phase: str = "Running"
    started: datetime | None = None
    ended: datetime | None = None
    deleting: datetime | None = None
    ip: str = ""
    host_ip: str = ""
    reason: str = ""
    """Why it does not run, as its container, the scheduler or the kubelet put it; empty for a healthy pod."""
    message: str = ""
    stuck_init: int | None = None
    """Index of the init container it waits in."""
    restarts: int = 0
    ready: bool = True
    slots: dict[str, list[Slot]] = field(default_factory=dict)
    """Slots held, by container name."""
    claims: tuple[tuple[str, str], ...] = ()
    """(name in the pod, ResourceClaim) pairs."""
    gates: tuple[str, ...] = ()
    """Scheduling gates."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def holds(self) -> bool:
        """Whether the scheduler counts it: bound to a node and not finished."""
        return bool(self.node) and self.phase not in ("Succeeded", "Failed")


@dataclass(slots=True)
class Node:
    """One machine in a cluster, with its state and faults."""

    name: str
    uid: str
    pool: str
    machine: Machine
    zone: str
    number: int
    created: datetime
    booted: datetime
    stack: str = "operator"
    """Who advertises its devices: operator, gke, dra, amd, intel, gaudi; `bare` none yet; `cpu` nothing to advertise."""
    gpus: list[Gpu] = field(default_factory=list)
    strategy: str = "single"
    """MIG strategy of plugin and GFD: none, single, mixed."""
    sharing: str = "none"
    """none, time-slicing, mps."""
    replicas: int = 1
    renamed: bool = False
    plugin_config: str = ""
    mig_config: str = "all-disabled"
    mig_state: str = "success"
    mig_invalid: bool = False
    driver_image: bool = True
    """False: the driver belongs to the machine image, so no driver pod runs."""
    upgrade_state: str = "upgrade-done"
    gfd: bool = True
    plugin: bool = True
    ready: str = "True"
    ready_since: datetime | None = None
    heartbeat: datetime | None = None
    cordoned: bool = False
    cordoned_at: datetime | None = None
    leftover: bool = False
    """The GPUs were removed; the operator set gpu.present=false and old labels stayed."""
    stale: dict[str, int] = field(default_factory=dict)
    """Resources that a former layout advertised and that the kubelet still lists."""
    label_overrides: dict[str, str | None] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    """Manually set labels."""
    taints: list[dict[str, str]] = field(default_factory=list)
    conditions: list[dict[str, str]] = field(default_factory=list)
    slices_missing: bool = False
    """DRA: the pool's new generation is only half published."""
    slice_generation: int = 1
    fault: str = ""
    """What is wrong with it, as the simulation calls it; empty for a healthy node. Never shown by the API."""
    _slots: list[Slot] = field(default_factory=list)
    _slots_for: tuple[object, ...] = ()

    @property
    def ip(self) -> str:
        return f"10.{40 + self.number // 16000}.{self.number // 250 % 64}.{4 + self.number % 250}"

    def resource_of(self, instance: Instance | None) -> str:
        """The extended resource under which a card or an instance is advertised."""
        plain = {"amd": "amd.com/gpu", "intel": "gpu.intel.com/i915", "gaudi": "habana.ai/gaudi"}.get(self.stack, GPU)
        if instance is not None and self.strategy == "mixed":
            plain = f"nvidia.com/mig-{instance.profile.name.replace('+', '.')}"
        return f"{plain}.shared" if self.renamed and self.replicas > 1 else plain

    def slots(self) -> list[Slot]:
        """Every unit the device plugin advertises, unhealthy ones included; none without a plugin."""
        cards = tuple((gpu.uuid, gpu.mig, *(instance.uuid for instance in gpu.instances)) for gpu in self.gpus)
        how = (self.stack, self.strategy, self.replicas, self.renamed, self.mig_invalid, self.leftover, cards)
        if how != self._slots_for:
            self._slots, self._slots_for = self._make_slots(), how
        return self._slots

    def _make_slots(self) -> list[Slot]:
        if self.stack in ("dra", "bare", "cpu") or self.mig_invalid or self.leftover:
            return []
        slots: list[Slot] = []
        for gpu in self.gpus:
            devices: list[tuple[str, Instance | None]]
            devices = [(instance.uuid, instance) for instance in gpu.instances] if gpu.mig else [(gpu.uuid, None)]
            for uuid, instance in devices:
                resource = self.resource_of(instance)
                part = instance.uuid if instance else ""
                if self.replicas > 1:
                    slots += [Slot(f"{uuid}::{number}", resource, gpu.index, part, number) for number in range(self.replicas)]
                else:
                    slots.append(Slot(uuid, resource, gpu.index, part))
        return slots

    def capacity(self) -> Counter[str]:
        """Extended resources as the kubelet lists them, zero-valued leftovers included."""
        counted: Counter[str] = Counter(self.stale)
        counted.update(slot.resource for slot in self.slots())
        if self.stack in ("operator", "gke") and not self.leftover and GPU not in counted:
            counted[GPU] = 0
        if self.leftover:
            counted[GPU] = 0
        return counted

    def allocatable(self) -> Counter[str]:
        """Capacity less the devices that are unhealthy; nothing while the plugin is away."""
        counted = Counter(dict.fromkeys(self.capacity(), 0))
        if self.plugin:
            counted.update(slot.resource for slot in self.slots() if self.gpus[slot.gpu].healthy)
            for resource, stale in self.stale.items():
                counted[resource] += stale
        return counted


@dataclass(slots=True)
class Claim:
    """One ResourceClaim with the devices it was given."""

    name: str
    namespace: str
    uid: str
    device_class: str
    created: datetime
    node: str = ""
    devices: tuple[str, ...] = ()
    pod: tuple[str, str] | None = None
    """(name, uid) of the pod that holds it."""
    consumed: dict[str, str] = field(default_factory=dict)
    """What each device's share takes of its capacity; empty for whole devices."""
    driver: str = "gpu.nvidia.com"
    admin: bool = False
    """Admin access: it watches the devices, and holds none."""
    alternatives: tuple[tuple[str, str], ...] = ()
    """(name, device class) of a prioritized list, the first choice first; empty for a plain request."""


def lay_out(gpu: Gpu, profiles: tuple[str, ...], seed: Seed) -> None:
    """Cut a card into MIG instances of the given profiles; no profile and `mig` off makes it a whole card again."""
    gpu.mig = bool(profiles)
    gpu.instances = []
    start = 0
    for number, name in enumerate(profiles):
        profile = gpu.model.profile(name)
        uuid = "MIG-" + seed.uuid("mig", gpu.uuid, name, number, len(profiles))
        gpu.instances.append(Instance(uuid, profile, 7 + number if profile.slices == 1 else number + 1, start))
        start += profile.slices
