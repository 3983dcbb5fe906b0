"""Clusters: their connection, the outcome of the last run, and what the cluster reports about itself."""

from __future__ import annotations

from django.db import models


class SameBy(models.TextChoices):
    """What shows that two contexts lead to one cluster."""

    ADDRESS = "address", "same address and certificate authority"
    UID = "uid", "same UID of namespace kube-system"
    NODES = "nodes", "same node UIDs"


class Cluster(models.Model):
    """One Kubernetes cluster, as one context of the kubeconfig (or the cluster Muster runs in)."""

    name = models.CharField(max_length=253, unique=True)
    server = models.CharField(max_length=500, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)
    """Set when the configuration no longer names it; its history stays."""

    same_as = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="other_contexts")
    """The row under which this cluster is collected, where this context leads to one that another context leads to as well.
    `removed_at` is set then: its nodes are counted once."""
    same_by = models.CharField(max_length=20, blank=True, default="", db_default="")
    """What shows that: a SameBy. services.same_cluster writes both."""
    kube_system_uid = models.TextField(blank=True, default="", db_default="")
    """UID of the namespace kube-system; empty until namespaces were read."""
    read_through = models.TextField(blank=True, default="", db_default="")
    """The context whose credentials are used, where that is not the one of this name."""
    context_tries = models.JSONField(default=dict, db_default={})
    """Context to (sections it was refused, 100 for all; Unix time). Only with several contexts of one address."""

    # what the cluster reported about itself, as of `taken_at`
    platform = models.TextField(blank=True)
    server_version = models.TextField(blank=True)
    node_count = models.BigIntegerField(null=True, blank=True)
    """Nodes of every kind; null until the list was read completely."""
    operator = models.JSONField(default=dict)
    device_plugin = models.JSONField(default=dict)
    permissions = models.JSONField(default=dict)
    incomplete_pools = models.JSONField(default=list)
    """DRA pools of which the newest generation was not read completely."""
    dra = models.JSONField(default=dict)
    """DRA objects that belong to no node: counter_sets, device_classes, taint_rules, claims, and devices of no GPU node
    with their allocations (domain.snapshot.dra)."""
    readiness_rules = models.JSONField(default=list, db_default=[])
    """domain.snapshot.readiness_rules.NodeReadinessRule of every rule."""
    events = models.JSONField(default=list)
    """domain.snapshot.NodeEvent of every Event about its GPU nodes that matters: last known data of that section."""

    # outcome of the runs
    taken_at = models.DateTimeField(null=True, blank=True)
    """Moment of the newest snapshot that was recorded: an older one never overwrites it."""
    read_at = models.DateTimeField(null=True, blank=True)
    """Moment of the last snapshot with a complete list of nodes: the age of what the pages show."""
    first_read_at = models.DateTimeField(null=True, blank=True)
    """Moment of the first such snapshot: when its nodes of that moment joined is unknown."""
    sections = models.JSONField(default=list)
    """Reports of the newest run, in reading order."""
    section_read_at = models.JSONField(default=dict)
    """Section name to the RFC 3339 moment at which it was last complete."""
    outcome = models.CharField(max_length=20, blank=True)
    error = models.TextField(blank=True)
    """One sentence; empty when the newest run read everything."""
    failing_since = models.DateTimeField(null=True, blank=True)
    changes = models.BigIntegerField(default=0)
    """Counts recorded changes: pages are refreshed only when it moved."""

    pending_fingerprint = models.CharField(max_length=32, blank=True)
    """Fingerprint of the pods that are on no GPU node."""

    # the schedule
    next_due_at = models.DateTimeField(null=True, blank=True, db_index=True)
    """When the next run is due; advanced when it begins, so that a moment in the past is overdue."""
    troubled_runs = models.IntegerField(default=0)
    """Newest runs in a row that failed, were lost or ran into a timeout: such a cluster is collected in a separate lane."""
    paused_until = models.DateTimeField(null=True, blank=True)
    """Set after three runs in a row killed their worker: none is scheduled before."""
    clock_ahead_s = models.FloatField(null=True, blank=True)
    """Seconds by which the API server's clock was ahead of Muster's in the newest run; null where it sent none."""
    queued_at = models.DateTimeField(null=True, blank=True)
    """Set while a run waits in the queue, so that no second one is added."""
    next_telemetry_at = models.DateTimeField(null=True, blank=True)
    """When telemetry is read next between two full runs."""

    # telemetry, where it differs from the settings
    telemetry_source = models.CharField(max_length=20, blank=True)
    """pod-proxy, direct or prometheus; empty for MUSTER_TELEMETRY's."""
    prometheus_url = models.CharField(max_length=500, blank=True)
    prometheus_match = models.CharField(max_length=500, blank=True)
    """Label matchers of this cluster's series, where the server has those of other clusters too."""
    rungs_proved = models.JSONField(default=list)
    """Ids of the rungs that ever passed on this cluster."""

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
