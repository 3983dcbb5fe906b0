"""GPU nodes: the current state of each, one row per node object (a node recreated under its name is a new row)."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q

from fleet.models.clusters import Cluster
from fleet.models.fields import FactsField


class Node(models.Model):
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="nodes")
    name = models.TextField()
    uid = models.TextField()
    created_at = models.DateTimeField(null=True, blank=True)

    # what it is
    machine_type = models.TextField(blank=True)
    zone = models.TextField(blank=True)
    vendor = models.TextField(blank=True)
    product = models.TextField(blank=True)
    family = models.TextField(blank=True)
    gpu_memory_mib = models.BigIntegerField(null=True, blank=True)
    driver_version = models.TextField(blank=True)
    cuda_version = models.TextField(blank=True)
    kubelet_version = models.TextField(blank=True)

    # its devices and how they are shared: physical GPUs, and slots, which the scheduler counts
    physical = models.BigIntegerField(null=True, blank=True)
    physical_source = models.TextField(blank=True)
    most_seen = models.BigIntegerField(null=True, blank=True)
    """Most physical GPUs ever seen on this node."""
    expected = models.BigIntegerField(null=True, blank=True)
    """Physical GPUs it should have (domain/evaluation/expected.py); null where nothing was ever declared, ordered or counted."""
    expected_source = models.TextField(blank=True)
    """declared, ordered or learned."""
    advertised_gpus = models.BigIntegerField(null=True, blank=True)
    """Physical GPUs the scheduler can allocate: those of a node that is ready, not cordoned and advertises them."""
    partitioning = models.TextField(blank=True)
    sharing = models.TextField(blank=True)
    replicas = models.BigIntegerField(null=True, blank=True)
    mode = models.TextField(blank=True)
    isolation = models.TextField(blank=True)
    mig_instances = FactsField(null=True, blank=True)
    """MIG instances by profile; {} is none, null is unknown."""
    mig_desired = models.TextField(blank=True)
    mig_state = models.TextField(blank=True)
    slots_capacity = models.BigIntegerField(null=True, blank=True)
    slots_allocatable = models.BigIntegerField(null=True, blank=True)
    slots_requested = models.BigIntegerField(null=True, blank=True)
    slots_free = models.BigIntegerField(null=True, blank=True)

    # what it advertises
    state = models.TextField(blank=True)
    """full, partial, none or unknown (what it advertises against what its devices predict), not_ready (the
    kubelet is not), cordoned."""
    advertised = models.TextField(blank=True)
    reason = models.TextField(blank=True)
    severity = models.CharField(max_length=20, blank=True)
    """Worst severity among the findings on its devices; empty without one."""
    kubelet_ready = models.BooleanField(null=True, blank=True)
    schedulable = models.BooleanField(default=True)
    labels = FactsField(default=dict)
    taints = FactsField(default=list)
    conditions = FactsField(default=list)
    products = FactsField(default=list, db_default=[])
    """Names of all its products; `product` is one name for them."""
    physical_is_lower_bound = models.BooleanField(default=False, db_default=False)
    device_findings = FactsField(default=list, db_default=[])
    """Findings of the inspection of its devices (domain.findings.Finding)."""
    evidence = FactsField(default=list, db_default=[])
    """Evidence of the inspection (domain.findings.Evidence)."""
    dra_pools = FactsField(default=list, db_default=[])
    """Pools of its DRA drivers (domain.dra.status.PoolStatus)."""
    stack = FactsField(default=dict)
    """Part of the GPU stack to the state of its pod on this node."""
    snapshot = FactsField(default=dict)
    """The NodeSnapshot itself: last known data, when a later run cannot read the node."""
    dra = FactsField(default=dict)
    """DRA devices and allocations of this node: last known data of those sections."""

    # readiness
    verdict = models.CharField(max_length=20, default="unknown")
    """ready, degraded, not_ready, starting, unknown or excluded."""
    broken_rung = models.TextField(blank=True)
    verdict_reason = models.TextField(blank=True)
    verdict_remedy = models.TextField(blank=True)
    verdict_since = models.DateTimeField(null=True, blank=True)
    reached = models.IntegerField(default=-1)
    """Number of the highest rung that the node reaches; −1 for none."""
    usable = models.BigIntegerField(null=True, blank=True)
    """Physical GPUs a workload may count on now; null where their number is unknown."""
    flapping = models.BooleanField(default=False)
    rungs = FactsField(default=list)
    """domain.readiness.types.RungResult of every rung, in order."""
    pending = FactsField(default=dict)
    """Pending findings, which count after they have lasted: "rule|key" to the moment since which they are present."""

    # startup time: how long it took to become ready after it joined
    bootstrapping = models.BooleanField(default=False)
    """It was seen joining and has not been good yet."""
    kubelet_ready_at = models.DateTimeField(null=True, blank=True)
    """When the kubelet was ready for the first time, from its condition; null where Muster did not see the node join."""
    gpu_ready_at = models.DateTimeField(null=True, blank=True)
    """When its verdict was ready or degraded for the first time after that."""

    # history
    boot_id = models.TextField(blank=True)
    booted_at = models.DateTimeField(null=True, blank=True)
    """When the current boot id was first recorded; null for the first one of the node."""
    booted_after = models.DateTimeField(null=True, blank=True)
    """The last run with the previous boot id."""
    known_uuids = FactsField(default=list)
    """UUIDs of the physical GPUs that telemetry named here."""
    labels_missing_since = models.DateTimeField(null=True, blank=True)
    """Since when GFD's labels are missing while the node is otherwise unchanged."""
    fingerprint = models.CharField(max_length=32)
    pods_fingerprint = models.CharField(max_length=32, blank=True)
    first_seen_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    state_since = models.DateTimeField()
    """Since when `state` has its value."""
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["cluster", "uid"], name="node_once"),
            models.UniqueConstraint(
                fields=["cluster", "name"], condition=Q(removed_at__isnull=True), name="node_name_once_alive"
            ),
        ]
        indexes = [
            models.Index(fields=["name", "id"], condition=Q(removed_at__isnull=True), name="node_alive_by_name"),
            models.Index(fields=["machine_type", "product"], name="node_shape"),
            models.Index(fields=["verdict"], condition=Q(removed_at__isnull=True), name="node_alive_by_verdict"),
            GinIndex(fields=["labels"], opclasses=["jsonb_path_ops"], name="node_labels"),
        ]

    def __str__(self) -> str:
        return self.name


class NodeResource(models.Model):
    """One extended resource (or DRA device class) of a node, in slots."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="resources")
    name = models.TextField()
    kind = models.TextField()
    profile = models.TextField(blank=True)
    replicas = models.BigIntegerField(null=True, blank=True)
    """Slots per device."""
    capacity = models.BigIntegerField(null=True, blank=True)
    allocatable = models.BigIntegerField(null=True, blank=True)
    requested = models.BigIntegerField(null=True, blank=True)
    free = models.BigIntegerField(null=True, blank=True)
    predicted = models.BigIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["node", "name"], name="resource_once_per_node")]

    def __str__(self) -> str:
        return f"{self.node}: {self.name}"
