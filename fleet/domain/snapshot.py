"""What one look at one cluster saw, as frozen structs: the only currency between collectors and the deciding core.

Values stand as the API gave them (labels and quantities are strings); a field that was not told is None or empty, never a
guess. Fields follow the Kubernetes API; where a field is Muster's own the docstring says so.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from fleet.domain.outcomes import Outcome, SectionReport
from fleet.domain.telemetry import Telemetry


class Taint(msgspec.Struct, frozen=True):
    key: str
    value: str = ""
    effect: str = ""


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


class NodeSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One node of any kind; whether it is a GPU node is decided in domain/devices.py."""

    name: str
    uid: str
    created_at: datetime | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    """Only the keys that Muster reads (nvidia.com/*); the rest is noise that changes often."""
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    provider_id: str = ""
    capacity: dict[str, str] = {}
    allocatable: dict[str, str] = {}
    conditions: tuple[Condition, ...] = ()
    node_info: NodeInfo = NodeInfo()


class ContainerPort(msgspec.Struct, frozen=True):
    """A TCP port that a container says it listens on."""

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
    """NVIDIA_VISIBLE_DEVICES of the pod's own specification: what the toolkit hands out unasked; an image may set it too."""
    state: str = ""
    """waiting, running or terminated; empty before the kubelet has reported."""
    reason: str = ""
    """Reason of the waiting or terminated state: CrashLoopBackOff, Completed …"""
    exit_code: int | None = None
    ready: bool = False
    restarts: int = 0
    ports: tuple[ContainerPort, ...] = ()
    """Of app containers: where something may be asked."""


class DeviceAllocation(msgspec.Struct, frozen=True, kw_only=True):
    """A device the kubelet says a container holds (KEP-4680, allocatedResourcesStatus)."""

    resource: str
    device_id: str
    health: str = ""


class NodeEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One Kubernetes Event about a node: what some component tells once, or several times in the same words."""

    uid: str
    node_name: str
    node_uid: str = ""
    """As the writer gave it; some write the node's name here."""
    type: str = ""
    """Normal, Warning, or a word of the writer's own."""
    reason: str = ""
    message: str = ""
    component: str = ""
    """Who wrote it."""
    count: int = 1
    """How often it was told, from `first_at` to `last_at`."""
    first_at: datetime
    last_at: datetime


class PodSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One pod that matters: it asks for or holds GPU resources, belongs to the GPU stack, or sits on a GPU node."""

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
    """status.reason, or the most telling container reason, or the scheduler's reason while pending."""
    message: str = ""
    priority_class: str = ""
    containers: tuple[ContainerSnapshot, ...] = ()
    claims: tuple[str, ...] = ()
    """Names of the ResourceClaims (same namespace) this pod uses."""
    devices: tuple[DeviceAllocation, ...] = ()
    component: str = ""
    """Which part of the GPU stack this is (device-plugin, driver, toolkit, dcgm-exporter …); empty for a workload."""
    ip: str = ""
    """Its first address; empty before it has one."""


class ClusterPolicySnapshot(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    state: str = ""
    namespace: str = ""
    driver_enabled: bool | None = None
    use_driver_crd: bool | None = None
    toolkit_enabled: bool | None = None
    dcgm_exporter_enabled: bool | None = None
    mig_strategy: str = ""
    device_plugin_config_name: str = ""
    device_plugin_config_default: str = ""
    driver_version: str = ""
    conditions: tuple[Condition, ...] = ()


class NvidiaDriverSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    state: str = ""
    driver_type: str = ""
    version: str = ""


class DaemonSetSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A DaemonSet of the GPU stack; `component` is Muster's name for its role, as on PodSnapshot."""

    namespace: str
    name: str
    component: str
    image: str = ""
    desired: int = 0
    ready: int = 0
    unavailable: int = 0


class OperatorSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    policies: tuple[ClusterPolicySnapshot, ...] = ()
    drivers: tuple[NvidiaDriverSnapshot, ...] = ()
    daemonsets: tuple[DaemonSetSnapshot, ...] = ()


class DevicePluginConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One key of a device-plugin ConfigMap, parsed. `error` is set, and the rest empty, where it would not parse."""

    namespace: str
    config_map: str
    key: str
    mig_strategy: str = ""
    sharing: str = ""
    """time-slicing, mps, or empty for none configured."""
    rename_by_default: bool = False
    fail_requests_greater_than_one: bool | None = None
    replicas: dict[str, int] = {}
    """Resource name to replicas per device."""
    error: str = ""


class DevicePluginConfigs(msgspec.Struct, frozen=True, kw_only=True):
    configs: tuple[DevicePluginConfig, ...] = ()
    default_key: str = ""
    """The key for nodes without the nvidia.com/device-plugin.config label, after the plugin's fallbacks; empty if none."""


class DraDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One device of a ResourceSlice (highest generation of its pool only)."""

    driver: str
    pool: str
    name: str
    node_name: str = ""
    type: str = ""
    """gpu, mig, vfio, channel, daemon … as the driver says; empty where it says nothing."""
    uuid: str = ""
    parent_uuid: str = ""
    product: str = ""
    profile: str = ""
    architecture: str = ""
    memory_bytes: int | None = None
    driver_version: str = ""
    cuda_version: str = ""
    pci_bus_id: str = ""
    taints: tuple[Taint, ...] = ()


class IncompletePool(msgspec.Struct, frozen=True, kw_only=True):
    """A DRA pool whose newest generation was not seen whole: its devices are left out of the snapshot."""

    driver: str
    pool: str
    node_name: str = ""
    seen: int
    expected: int


class DraAllocation(msgspec.Struct, frozen=True, kw_only=True):
    """One device held through a ResourceClaim. `admin_access` claims only watch: they hold nothing."""

    namespace: str
    claim: str
    driver: str
    pool: str
    device: str
    admin_access: bool = False
    pod_uids: tuple[str, ...] = ()


class ResourceSlices(msgspec.Struct, frozen=True, kw_only=True):
    devices: tuple[DraDevice, ...] = ()
    incomplete_pools: tuple[IncompletePool, ...] = ()
    api_version: str = ""


class MissingPermission(msgspec.Struct, frozen=True, kw_only=True):
    """Something the service account may not do, what that hides, and the RBAC rule that would allow it."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    hides: str = ""


class Permissions(msgspec.Struct, frozen=True, kw_only=True):
    missing: tuple[MissingPermission, ...] = ()
    writes: tuple[str, ...] = ()
    """Writing verbs the account holds although Muster needs none: `create pods`. Self-reviews do not count."""
    incomplete: bool = False
    """The API server said its own answer may lack rules (webhook authorisers)."""


_TOLD = frozenset({Outcome.COLLECTED, Outcome.ABSENT, Outcome.INCOMPLETE})


class ClusterSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One look at one cluster. What a section could not tell is empty here and explained in `sections`."""

    name: str
    taken_at: datetime
    server_version: str = ""
    platform: str = ""
    """Where the cluster runs as its nodes tell it: EKS, GKE, AKS …; empty when nothing does."""
    node_count: int | None = None
    """Nodes of every kind; None when the list was not read whole."""
    nodes: tuple[NodeSnapshot, ...] = ()
    """GPU nodes only (Muster's own choice, see domain/devices.gpu_evidence), and those already known as such."""
    pods: tuple[PodSnapshot, ...] = ()
    operator: OperatorSnapshot = OperatorSnapshot()
    device_plugin: DevicePluginConfigs = DevicePluginConfigs()
    slices: ResourceSlices = ResourceSlices()
    allocations: tuple[DraAllocation, ...] = ()
    permissions: Permissions = Permissions()
    events: tuple[NodeEvent, ...] = ()
    """Of GPU nodes, and only those that matter (domain/health/events.py); the API server forgets them within hours."""
    telemetry: Telemetry = Telemetry()
    sections: dict[str, SectionReport] = {}
    remembered: tuple[str, ...] = ()
    """Sections that were not read whole or not asked for, and filled up with the last truth (services/last_truth.py)."""

    def section(self, name: str) -> SectionReport:
        """The report of a section; one that never ran answers as skipped."""
        return self.sections.get(name) or SectionReport(name=name, outcome=Outcome.SKIPPED, reason="It was not read.")

    @property
    def is_reached(self) -> bool:
        """Whether the API server told the last whole pass anything. A telemetry pass bears that one's reports."""
        reports = [report for name, report in self.sections.items() if name not in ("telemetry", "model_servers")]
        return not reports or any(report.outcome in _TOLD for report in reports)

    def is_fresh(self, name: str) -> bool:
        """Whether this very look read the section whole: what is not in it is gone from the cluster."""
        return self.section(name).complete and name not in self.remembered

    def knows(self, name: str) -> bool:
        """Whether this section's facts may be judged: read whole, or filled up from memory. Else they are unknown."""
        return self.section(name).complete or name in self.remembered
