"""Pods that matter: they request GPU slots, hold them, belong to the GPU stack, or run on a GPU node."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from fleet.models.clusters import Cluster
from fleet.models.fields import FactsField
from fleet.models.nodes import Node


class Pod(models.Model):
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="pods")
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="pods", null=True, blank=True)
    """Null while unscheduled, or on a node without GPUs."""
    uid = models.TextField()
    namespace = models.TextField()
    name = models.TextField()
    phase = models.TextField(blank=True)
    ready = models.BooleanField(default=False)
    reason = models.TextField(blank=True)
    component = models.TextField(blank=True)
    """Its part in the GPU stack; empty for a workload."""
    requests = FactsField(default=dict)
    """GPU resource to slots, as the scheduler counts them."""
    slots = models.BigIntegerField(null=True, blank=True)
    """GPU slots it requests, over all resources; null where a resource claim could not be read."""
    holds = models.BooleanField(default=False)
    """Whether it holds them now: bound to a node and not finished."""
    created_at = models.DateTimeField(null=True, blank=True)
    snapshot = FactsField(default=dict)
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["namespace", "name"]
        constraints = [models.UniqueConstraint(fields=["cluster", "uid"], name="pod_once")]
        indexes = [
            models.Index(fields=["node"], condition=Q(removed_at__isnull=True), name="pod_alive_by_node"),
            models.Index(fields=["removed_at"], condition=Q(removed_at__isnull=False), name="pod_gone"),
        ]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"
