"""Physical GPUs and the MIG instances on them."""

from __future__ import annotations

from django.db import models

from fleet.models.nodes import Node


class Gpu(models.Model):
    """One physical GPU. Without DRA or telemetry its identity is unknown: then only its position is known."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="gpus")
    position = models.IntegerField()
    """Place in the node's list, from 0; not the index of any driver."""
    uuid = models.TextField(blank=True)
    product = models.TextField(blank=True)
    memory_mib = models.BigIntegerField(null=True, blank=True)
    pci_bus_id = models.TextField(blank=True)
    mig_enabled = models.BooleanField(null=True, blank=True)
    source = models.TextField(blank=True)
    held = models.BooleanField(null=True, blank=True)
    """Whether a claim or pod uses it or a part of it; null where that is not known per GPU."""

    class Meta:
        ordering = ["node", "position"]
        constraints = [models.UniqueConstraint(fields=["node", "position"], name="gpu_once_per_place")]

    def __str__(self) -> str:
        return f"{self.node} GPU {self.position}"


class MigInstance(models.Model):
    """One MIG instance; its GPU is known only where a source names it."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="mig_instance_rows")
    position = models.IntegerField()
    profile = models.TextField()
    uuid = models.TextField(blank=True)
    gpu_uuid = models.TextField(blank=True)
    gi_id = models.TextField(blank=True)
    """DCGM's id of the instance on its GPU."""
    memory_mib = models.BigIntegerField(null=True, blank=True)
    held = models.BooleanField(null=True, blank=True)
    """Whether a claim or pod uses it; null where that is not known."""

    class Meta:
        ordering = ["node", "position"]
        constraints = [models.UniqueConstraint(fields=["node", "position"], name="mig_once_per_place")]

    def __str__(self) -> str:
        return f"{self.node} {self.profile}"
