"""Queues in front of the scheduler: Kueue, Volcano and KAI, as their objects stood.

Shapes as in the CRDs: kueue.x-k8s.io v1beta1, v1beta2 and v1; scheduling.volcano.sh v1beta1; scheduling.run.ai v2 and v2alpha2
(KAI). Amounts are in the scheduler's units: cpu in millicores, memory in bytes, all else in units; None where unreadable.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from fleet.domain.snapshot.nodes import Taint
from fleet.domain.snapshot.scheduling import PodScheduling, Toleration

KUEUE, VOLCANO, KAI = "kueue", "volcano", "kai"
SYSTEMS = (KUEUE, VOLCANO, KAI)


class FlavorQuota(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Quota of one resource in one flavor of a ClusterQueue or Cohort."""

    group: int = 0
    """Number of its resource group: a pod's resources of one group get one flavor."""
    flavor: str
    resource: str
    nominal: int | None = None
    borrowing_limit: int | None = None
    """None for no limit."""
    lending_limit: int | None = None
    """None for no limit: all of it may be lent."""
    reserved: int | None = 0
    """What workloads of the queue have reserved, borrowed amounts included."""


class ClusterQueue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A ClusterQueue of Kueue."""

    name: str
    cohort: str = ""
    strict: bool = False
    """StrictFIFO: a workload that does not fit blocks those behind it."""
    fair: bool = False
    """Admission fair sharing: usage of LocalQueues orders it, which Muster does not read."""
    quotas: tuple[FlavorQuota, ...] = ()
    """In the order in which flavors are tried."""
    pending: int | None = None
    active: bool | None = None
    """Condition Active; None where it is not reported."""
    why_inactive: str = ""


class Cohort(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Cohort object; a cohort that ClusterQueues only name has none."""

    name: str
    parent: str = ""
    quotas: tuple[FlavorQuota, ...] = ()


class LocalQueue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    namespace: str
    name: str
    cluster_queue: str = ""
    stopped: bool = False
    active: bool | None = None
    why_inactive: str = ""


class Flavor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A ResourceFlavor: which nodes it stands for."""

    name: str
    labels: dict[str, str] = {}
    taints: tuple[Taint, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    """Added to pods that are admitted to it."""
    topology: str = ""


class Topology(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Topology of Kueue: keys of node labels, from the widest level to the narrowest."""

    name: str
    levels: tuple[str, ...] = ()


class PodSet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Pods of one template within a workload."""

    name: str
    count: int = 1
    requests: dict[str, int | None] = {}
    """Of all its pods."""
    pod: PodScheduling | None = None
    """What the scheduler reads of one pod; None for admitted workloads, whose pods exist."""
    flavors: dict[str, str] = {}
    """Resource to flavor, of an admitted workload."""


class AdmissionCheck(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    state: str
    message: str = ""


class Workload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Workload of Kueue that is not finished."""

    namespace: str
    name: str
    uid: str = ""
    queue: str = ""
    """Name of its LocalQueue."""
    owners: tuple[tuple[str, str], ...] = ()
    """Kind and name of its owners."""
    created_at: datetime | None = None
    queued_at: datetime | None = None
    """By what time it is ordered: its creation, or its last eviction for a reason that sends it back."""
    priority: int = 0
    active: bool = True
    cluster_queue: str = ""
    """Where it has reserved quota; empty while it waits."""
    admitted: bool = False
    """Quota reserved and all admission checks passed."""
    reason: str = ""
    """Of the condition QuotaReserved=False."""
    message: str = ""
    checks: tuple[AdmissionCheck, ...] = ()
    requeue_at: datetime | None = None
    pod_sets: tuple[PodSet, ...] = ()
    position: int | None = None
    """Workloads before it in its ClusterQueue, by Kueue's visibility API; None where that was not read."""


class PodGroup(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A PodGroup of Volcano or KAI that is not completed."""

    system: str
    namespace: str
    name: str
    queue: str = ""
    created_at: datetime | None = None
    priority_class: str = ""
    phase: str = ""
    """Of Volcano: Pending, Inqueue, Running, Unknown. KAI writes none."""
    min_member: int = 1
    running: int = 0
    requests: dict[str, int | None] = {}
    """What its least number of pods requests, where it states that."""
    message: str = ""
    """Of the condition that says why it is not scheduled."""
    blocked: bool = False
    """Whether that condition holds now."""


class BatchQueue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Queue of Volcano or KAI."""

    system: str
    name: str
    parent: str = ""
    state: str = ""
    """Of Volcano: Open, Closed, Closing."""
    limits: dict[str, int | None] = {}
    """Volcano's capability, KAI's limit; a resource that is not named has none."""
    quota: dict[str, int | None] = {}
    """KAI's quota: beyond it the queue gets only what others leave."""
    allocated: dict[str, int | None] = {}


class QueueObjects(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was read of the queueing systems that are installed. Finished workloads are left out."""

    systems: dict[str, str] = {}
    """Installed system to why it is unknown; empty where it was read."""
    cluster_queues: tuple[ClusterQueue, ...] = ()
    cohorts: tuple[Cohort, ...] | None = None
    """None where not read: what a queue can borrow is then unknown."""
    local_queues: tuple[LocalQueue, ...] = ()
    flavors: tuple[Flavor, ...] = ()
    topologies: tuple[Topology, ...] = ()
    workloads: tuple[Workload, ...] = ()
    groups: tuple[PodGroup, ...] = ()
    queues: tuple[BatchQueue, ...] = ()
