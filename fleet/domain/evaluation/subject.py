"""Input of rungs and rules: one node with its snapshot, history and policy."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from fleet.domain.devices.inspection import NodeDevices, Previous
from fleet.domain.dra.allocated import Allocated
from fleet.domain.dra.resource_pools import Inventory
from fleet.domain.evaluation.cluster_facts import ClusterFacts
from fleet.domain.evaluation.run_clock import RunClock
from fleet.domain.findings import Finding
from fleet.domain.history.staleness import is_recent, recent_for
from fleet.domain.snapshot import ClusterSnapshot, DraAllocation, DraDevice, NodeEvent, NodeSnapshot, PodSnapshot
from fleet.domain.snapshot.telemetry import DeviceSample, ExporterReport, ModelServer


class XidBurst(msgspec.Struct, frozen=True, kw_only=True):
    """Xid events of one code on one GPU with less than three minutes of quiet between them."""

    node_name: str
    uuid: str
    code: int
    started_at: datetime
    last_at: datetime
    count: int = 1
    """Number of events: a lower bound, because the gauge shows only the last code."""
    source: str = ""
    """Best source of the burst: counter, gauge, event (a monitor's Kubernetes Event) or condition."""
    pods: tuple[str, ...] = ()
    """namespace/name of the pods that held the device when it began."""
    job: str = ""
    """Owner of those pods (kind/namespace/name): one job that crashes on many nodes is one incident."""
    reported_by: str = ""
    """The monitor that reported it first, in a condition or an Event; empty where only telemetry shows it."""


class XidPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Meaning of one Xid code for a node: the catalogue's, or an operator's override."""

    code: int
    name: str
    severity: str
    """info, warning, critical or fatal."""
    action: str = ""
    audience: str = ""
    """tenant, platform or data-centre."""
    overridden: bool = False


class Waiver(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's decision, with a name and a reason, that a rung need not be proved."""

    rung: str
    reason: str
    by: str
    at: datetime
    where: str = ""
    """cluster or pool."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Requirements on a node: its pool's policy, or the default."""

    required_rung: int = 7
    partial_nodes: bool = False
    """Whether a node that lost some of its cards may still serve with the others (degraded instead of not_ready)."""
    pool: str = ""
    """Slug of the pool whose policy this is; empty for none."""
    pools: tuple[str, ...] = ()
    """Slugs of every pool the node is in."""
    rivals: tuple[str, ...] = ()
    """Exclusive pools it is in, where they are more than one."""
    waivers: tuple[Waiver, ...] = ()
    maintenance: str = ""
    """Reason of the node's maintenance in Muster; empty where there is none."""


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's statement of how many physical GPUs nodes should have. An empty field stands for every node."""

    count: int
    node_name: str = ""
    machine_type: str = ""
    product: str = ""
    of_cluster: bool = False
    """It names this cluster; otherwise it is valid for all clusters."""


class NodeHistory(msgspec.Struct, frozen=True, kw_only=True):
    """History of a node before this run. The default is a node without history."""

    previous: Previous | None = None
    """Last known GFD labels, used while the labels are missing."""
    first_seen_at: datetime | None = None
    found_at_start: bool = False
    """Whether the first run of the cluster already contained it: the time it joined is unknown."""
    boot_id: str = ""
    booted_at: datetime | None = None
    """When the current boot id was first recorded; None for the first boot id of the node, whose age is unknown."""
    booted_after: datetime | None = None
    """Last run with the previous boot id: the boot lies between it and `booted_at`."""
    declared: int | None = None
    """Physical GPUs that an operator declared for it: filled in from `ClusterHistory.declarations`."""
    most_seen: int | None = None
    """Most physical GPUs ever counted on it before this run."""
    counted_by: str = ""
    """Source of the newest count of its physical GPUs."""
    machine_type: str = ""
    product: str = ""
    """As recorded by the previous run."""
    expected: int | None = None
    """Physical GPUs it should have: filled in by `expected.expected_gpus` once its devices are inspected."""
    expected_source: str = ""
    """declared, ordered or learned."""
    known_uuids: tuple[str, ...] = ()
    """UUIDs of the physical GPUs that telemetry reported on this node in previous runs."""
    samples: tuple[DeviceSample, ...] = ()
    """Newest samples of the previous run."""
    servers: tuple[ModelServer, ...] = ()
    """Model servers of the previous run."""
    bursts: tuple[XidBurst, ...] = ()
    """Xid bursts whose last event lies within the last 24 hours, those of this run included, oldest first."""
    standing: tuple[Finding, ...] = ()
    """Open findings of the node, warnings and worse."""
    pending: dict[str, datetime] = {}
    """`rule|key` to the moment since which a finding has been present without a break."""
    rungs: dict[str, str] = {}
    """Rung id to its last status."""
    verdict: str = ""
    verdict_since: datetime | None = None
    recent_changes: int = 0
    """Changes of verdict within the flap window."""


class ClusterHistory(msgspec.Struct, frozen=True, kw_only=True):
    """History of a cluster by node uid, and the requirements on its nodes. The default is a cluster without history."""

    nodes: dict[str, NodeHistory] = {}
    declarations: tuple[Declaration, ...] = ()
    """Operators' declarations about the GPUs of this cluster's nodes."""
    most_seen_elsewhere: dict[tuple[str, str], int] = {}
    """(machine type, product) to the most physical GPUs ever counted on such a node of another cluster or a removed one."""
    policies: dict[str, Policy] = {}
    """Node uid to its policy; a node that is not in it has `default_policy`."""
    default_policy: Policy = Policy()
    was_read: bool = False
    """Whether a previous run read the cluster's nodes, with or without GPUs: a node without history has joined since."""
    xids: dict[int, XidPolicy] = {}
    """Overrides of the Xid catalogue, by code."""
    has_pools: bool = False
    """Whether any pool is declared: only then a node in no pool is a finding."""
    silent_since: datetime | None = None
    """When the cluster became unreachable for too long: nothing reported before is used any more."""
    last_reached_at: datetime | None = None
    """When the cluster was last read, while it or every exporter is unreachable for Muster. Measurements of that run do not age
    further until the cluster is stale: the exporters may be healthy."""
    rungs_proved: frozenset[str] = frozenset()
    """Rungs that were proved on this cluster before: their missing evidence is then unknown, not unsupported."""
    samples_recent_for: timedelta = recent_for(timedelta(0))
    """Maximum age of a recent sample, which follows from the scrape interval."""
    boot_grace: timedelta = timedelta(minutes=5)
    """Time after a join or reboot during which a node that is not ready yet is starting."""
    flap_changes: int = 4
    """Number of verdict changes within the flap window from which on the node is flapping."""

    def of(self, uid: str) -> NodeHistory:
        return self.nodes.get(uid) or NodeHistory()

    def policy(self, uid: str) -> Policy:
        return self.policies.get(uid) or self.default_policy


class ClusterStack(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence sources that exist anywhere on the cluster: separates "not yet proved" from "cannot be proved"."""

    components: frozenset[str] = frozenset()
    """Parts of the GPU stack that run, or have a DaemonSet, on any node (collectors/components.py)."""
    gfd_labels: bool = False
    """Whether some node has GPU feature discovery's labels."""
    telemetry: bool = False
    """Whether some exporter was read, or tried."""


class NodeReports(msgspec.Struct, frozen=True, kw_only=True):
    """Parts of a snapshot that are about one node."""

    pods: tuple[PodSnapshot, ...] = ()
    dra_devices: tuple[DraDevice, ...] = ()
    allocations: tuple[DraAllocation, ...] = ()
    samples: tuple[DeviceSample, ...] = ()
    exporters: tuple[ExporterReport, ...] = ()
    servers: tuple[ModelServer, ...] = ()
    events: tuple[NodeEvent, ...] = ()


_NO_REPORTS = NodeReports()


class ClusterContext(msgspec.Struct, frozen=True, kw_only=True):
    """The cluster in which a node is evaluated: its snapshot, by node and as a whole, and its history."""

    snapshot: ClusterSnapshot
    facts: ClusterFacts
    """The part of the snapshot that the evaluation of any node may read."""
    history: ClusterHistory = ClusterHistory()
    stack: ClusterStack = ClusterStack()
    reports: dict[str, NodeReports] = {}
    """By node name."""
    inventory: Inventory | None = None
    """Devices of the cluster with every taint joined, as the allocator sees them; None where ResourceSlices were not read."""
    allocated: Allocated | None = None
    """What claims of the cluster hold; None where they were not read."""

    def of(self, node_name: str) -> NodeReports:
        return self.reports.get(node_name, _NO_REPORTS)


class NodeSubject(msgspec.Struct, frozen=True, kw_only=True):
    """One node to evaluate. Sections that could not be read are empty; check `snapshot.knows(section)` first."""

    node: NodeSnapshot
    devices: NodeDevices
    cluster: ClusterContext
    clock: RunClock
    """All that its evaluation may know of the time."""
    history: NodeHistory = NodeHistory()
    policy: Policy = Policy()

    @property
    def now(self) -> datetime:
        """Returns the moment of the run. Where a limit decides, ask `clock`: what reads the moment holds for one run only."""
        return self.clock.now()

    @property
    def snapshot(self) -> ClusterFacts:
        """Returns what may be known of its cluster's snapshot."""
        return self.cluster.facts

    @property
    def pods(self) -> tuple[PodSnapshot, ...]:
        """Returns the pods on this node, of every kind."""
        return self.cluster.of(self.node.name).pods

    @property
    def dra_devices(self) -> tuple[DraDevice, ...]:
        """Returns the DRA devices of this node, with the taints of device taint rules."""
        return self.cluster.of(self.node.name).dra_devices

    @property
    def allocations(self) -> tuple[DraAllocation, ...]:
        """Returns the DRA devices of this node that claims have been given."""
        return self.cluster.of(self.node.name).allocations

    @property
    def samples(self) -> tuple[DeviceSample, ...]:
        """Returns the samples of this node; each has its own age."""
        return self.cluster.of(self.node.name).samples

    @property
    def exporters(self) -> tuple[ExporterReport, ...]:
        """Returns the outcome of each exporter on this node."""
        return self.cluster.of(self.node.name).exporters

    @property
    def servers(self) -> tuple[ModelServer, ...]:
        """Returns the model servers on this node."""
        return self.cluster.of(self.node.name).servers

    @property
    def events(self) -> tuple[NodeEvent, ...]:
        """Returns the events about this node object, none about an earlier object with its name."""
        return self.cluster.of(self.node.name).events

    def component(self, *names: str) -> tuple[PodSnapshot, ...]:
        """Returns the current pods on this node that are one of these GPU stack components (collectors/components.py)."""
        return tuple(pod for pod in self.pods if pod.component in names and pod.phase not in ("Succeeded", "Failed"))

    def measured_within(self, at: datetime, limit: timedelta) -> bool:
        """Returns whether a sample of this moment is at most `limit` old: now, or in the last run that reached the cluster."""
        reached_at = self.cluster.history.last_reached_at
        return reached_at - at <= limit if reached_at is not None else not self.clock.is_past(at, limit)

    def is_recent(self, at: datetime) -> bool:
        """Returns whether a sample of this moment is recent (history/staleness.py)."""
        reached_at, limit = self.cluster.history.last_reached_at, self.cluster.history.samples_recent_for
        if reached_at is not None:
            return is_recent(at, reached_at, limit)
        return self.clock.has_reached(at, -limit) and not self.clock.is_past(at, limit)

    @property
    def booted_at(self) -> datetime | None:
        """Returns when the node last booted: now, where its boot id differs from the previous run's.

        None where no boot was recorded.
        """
        return self.now if self.boots_now else self.history.booted_at

    @property
    def boots_now(self) -> bool:
        """Returns whether its boot id differs from the previous run's."""
        boot_id, previous = self.node.node_info.boot_id, self.history.boot_id
        return bool(boot_id and previous and boot_id != previous)

    def booted_within(self, limit: timedelta) -> bool:
        """Returns whether the node joined or booted less than `limit` ago, this run included; False where that is unknown."""
        joined = None if self.history.found_at_start else self.history.first_seen_at
        if self.history.first_seen_at is None and self.cluster.history.was_read:
            joined = self.now
        seen = [at for at in (self.booted_at, joined) if at is not None]
        return bool(seen) and not self.clock.has_reached(max(seen), limit)
