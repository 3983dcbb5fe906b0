"""What rungs and rules look at: one node with everything seen of it, everything remembered of it, and what is asked of it."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from fleet.domain.devices import NodeDevices, Previous
from fleet.domain.findings import Finding
from fleet.domain.snapshot import ClusterSnapshot, DraDevice, NodeEvent, NodeSnapshot, PodSnapshot
from fleet.domain.telemetry import DeviceSample, ExporterReport, ModelServer


class XidBurst(msgspec.Struct, frozen=True, kw_only=True):
    """Xid events of one code on one GPU with less than three minutes of quiet between them."""

    node_name: str
    uuid: str
    code: int
    started_at: datetime
    last_at: datetime
    count: int = 1
    """Events seen: a lower bound, because the gauge tells only the last code."""
    source: str = ""
    """Who told it, the best of them: counter, gauge, event (a monitor's Kubernetes Event) or condition."""
    pods: tuple[str, ...] = ()
    """namespace/name of the pods that held the device when it began."""
    job: str = ""
    """The owner of those pods (kind/namespace/name), which tells a crash of one job over many nodes."""


class XidPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What one Xid code means for a node: the catalogue's word, or an operator's signed decision."""

    code: int
    name: str
    severity: str
    """info, warning, critical or fatal."""
    action: str = ""
    audience: str = ""
    """tenant, platform or data-centre."""
    overridden: bool = False


class Waiver(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's signed decision that a rung need not be proved here."""

    rung: str
    reason: str
    by: str
    at: datetime
    where: str = ""
    """cluster or pool."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a node: its pool's policy, or the default."""

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
    """Why somebody took the node out on purpose, in Muster; empty where nobody did."""


class NodeMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a node before this look at it. The default is a node never seen before."""

    previous: Previous | None = None
    """What may stand in for GFD's labels while they are away."""
    first_seen_at: datetime | None = None
    found_at_start: bool = False
    """It was there at the cluster's very first reading: nobody saw it join."""
    boot_id: str = ""
    booted_at: datetime | None = None
    """When the present boot id was first seen; None for the first one ever seen, whose age nobody knows."""
    booted_after: datetime | None = None
    """The last look with the boot id before: the boot lies somewhere between it and `booted_at`."""
    expected: int | None = None
    """Physical GPUs it should have."""
    expected_source: str = ""
    """declared, learned (from machines of the same type) or ordered (the node's own cloud label, where it says less)."""
    known_uuids: tuple[str, ...] = ()
    """UUIDs of the physical GPUs that telemetry named on this node before."""
    samples: tuple[DeviceSample, ...] = ()
    """The newest telemetry before this look."""
    servers: tuple[ModelServer, ...] = ()
    """Model servers as last seen before this look."""
    bursts: tuple[XidBurst, ...] = ()
    """Xid bursts whose last event lies within the last 24 hours, this look's included, oldest first."""
    standing: tuple[Finding, ...] = ()
    """Critical and fatal findings about it that are open."""
    pending: dict[str, datetime] = {}
    """`rule|key` to since when a finding that needs to last is seen without a break."""
    rungs: dict[str, str] = {}
    """Rung id to its last status."""
    rungs_since: dict[str, datetime] = {}
    verdict: str = ""
    verdict_since: datetime | None = None
    recent_changes: int = 0
    """Changes of verdict within the flap window."""


class ClusterMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a cluster, by node uid, and what is asked of its nodes. The default knows nothing."""

    nodes: dict[str, NodeMemory] = {}
    policies: dict[str, Policy] = {}
    """Node uid to its policy; a node that is not in it has `default_policy`."""
    default_policy: Policy = Policy()
    was_read: bool = False
    """Its nodes were read before, though it may have had none with GPUs: one never seen before has joined since."""
    xids: dict[int, XidPolicy] = {}
    """Overrides of the Xid catalogue, by code."""
    has_pools: bool = False
    """Whether any pool is declared: a node in none of them is then worth a word."""
    silent_since: datetime | None = None
    """Set when the cluster has not been read for so long that nothing it said before is believed any more."""
    last_reached_at: datetime | None = None
    """Set while the cluster, or every exporter for want of a right, is out of reach: when it was last read. What was measured
    then ages no further until it is silent: it is Muster's way that is broken, not its exporters."""
    rungs_proved: frozenset[str] = frozenset()
    """Rungs that something on this cluster proved before: their absence now is no "nobody could ever prove it"."""
    boot_grace: timedelta = timedelta(minutes=5)
    """After a join or reboot, while a node that is not yet good is starting."""
    flap_changes: int = 4
    """So many changes of verdict within the flap window, and the node is flapping."""

    def of(self, uid: str) -> NodeMemory:
        return self.nodes.get(uid) or NodeMemory()

    def policy(self, uid: str) -> Policy:
        return self.policies.get(uid) or self.default_policy


class ClusterStack(msgspec.Struct, frozen=True, kw_only=True):
    """What is there anywhere on the cluster that could prove something: tells "not yet" from "nobody ever could"."""

    components: frozenset[str] = frozenset()
    """Parts of the GPU stack that run, or have a DaemonSet, on any node (collectors/components.py)."""
    gfd_labels: bool = False
    """Some node bears GPU feature discovery's labels."""
    telemetry: bool = False
    """Some exporter was read, or tried."""


class NodeSubject(msgspec.Struct, frozen=True, kw_only=True):
    """One node under judgement. Sections that could not be read are empty; ask `snapshot.knows(section)` first."""

    now: datetime
    snapshot: ClusterSnapshot
    node: NodeSnapshot
    devices: NodeDevices
    pods: tuple[PodSnapshot, ...] = ()
    """On this node, of every kind."""
    dra_devices: tuple[DraDevice, ...] = ()
    samples: tuple[DeviceSample, ...] = ()
    """Of this node; each has its own age."""
    exporters: tuple[ExporterReport, ...] = ()
    servers: tuple[ModelServer, ...] = ()
    events: tuple[NodeEvent, ...] = ()
    """About this node object, none about an earlier one of its name."""
    memory: NodeMemory = NodeMemory()
    policy: Policy = Policy()
    cluster: ClusterMemory = ClusterMemory()
    stack: ClusterStack = ClusterStack()

    def component(self, *names: str) -> tuple[PodSnapshot, ...]:
        """The living pods on this node that play one of these parts in the GPU stack (collectors/components.py)."""
        return tuple(pod for pod in self.pods if pod.component in names and pod.phase not in ("Succeeded", "Failed"))

    @property
    def measured_until(self) -> datetime:
        """The moment against which the age of a sample counts: now, or the last look that reached the cluster."""
        return self.cluster.last_reached_at or self.now

    def age_of_boot(self) -> timedelta | None:
        """How long ago the node joined or rebooted, as far as Muster saw it happen; None where it did not."""
        starts = [] if self.memory.found_at_start else [self.memory.first_seen_at]
        known = [at for at in (*starts, self.memory.booted_at) if at is not None]
        return self.now - max(known) if known else None
