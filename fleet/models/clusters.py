"""Clusters: what is read, how the last reading went, and what the cluster said about itself."""

from __future__ import annotations

from django.db import models


class Cluster(models.Model):
    """One Kubernetes cluster, as one context of the kubeconfig (or the cluster Muster runs in)."""

    name = models.CharField(max_length=253, unique=True)
    server = models.CharField(max_length=500, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)
    """Set when the configuration no longer names it; its history stays."""

    # what the cluster said about itself, as of `taken_at`
    platform = models.CharField(max_length=60, blank=True)
    server_version = models.CharField(max_length=60, blank=True)
    node_count = models.IntegerField(null=True, blank=True)
    """Nodes of every kind; null until the list was read whole."""
    operator = models.JSONField(default=dict)
    device_plugin = models.JSONField(default=dict)
    permissions = models.JSONField(default=dict)
    incomplete_pools = models.JSONField(default=list)
    """DRA pools whose newest generation was not seen whole."""
    events = models.JSONField(default=list)
    """domain.snapshot.NodeEvent of every Event about its GPU nodes that matters: the last truth of that section."""

    # how the readings went
    taken_at = models.DateTimeField(null=True, blank=True)
    """Moment of the newest snapshot that was recorded: an older one never overwrites it."""
    read_at = models.DateTimeField(null=True, blank=True)
    """Moment of the last snapshot whose list of nodes was whole: the age of what the pages show."""
    first_read_at = models.DateTimeField(null=True, blank=True)
    """Moment of the first such snapshot: nobody saw the nodes join that were there then."""
    sections = models.JSONField(default=list)
    """Reports of the newest pass, in reading order."""
    section_read_at = models.JSONField(default=dict)
    """Section name to the RFC 3339 moment at which it was last read whole."""
    outcome = models.CharField(max_length=20, blank=True)
    error = models.TextField(blank=True)
    """One sentence; empty when the newest pass read everything."""
    failing_since = models.DateTimeField(null=True, blank=True)
    changes = models.BigIntegerField(default=0)
    """Counts recorded changes: pages are refreshed only when it moved."""

    pending_fingerprint = models.CharField(max_length=32, blank=True)
    """Fingerprint of the pods that sit on no GPU node."""

    # the rhythm
    next_due_at = models.DateTimeField(null=True, blank=True, db_index=True)
    queued_at = models.DateTimeField(null=True, blank=True)
    """Set while a pass waits in the queue, so that no second one is added."""
    next_telemetry_at = models.DateTimeField(null=True, blank=True)
    """When telemetry is read next between two whole passes."""

    # telemetry, where it differs from the settings
    telemetry_source = models.CharField(max_length=20, blank=True)
    """pod-proxy, direct or prometheus; empty for MUSTER_TELEMETRY's."""
    prometheus_url = models.CharField(max_length=500, blank=True)
    prometheus_match = models.CharField(max_length=500, blank=True)
    """Label matchers of this cluster's series, where the server holds those of others too."""
    rungs_proved = models.JSONField(default=list)
    """Ids of the rungs that something on this cluster has proved at some time."""

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
