"""Physical GPUs and the MIG instances on them."""

from __future__ import annotations

from django.db import models

from fleet.models.nodes import Node


class Gpu(models.Model):
    """One physical card. Without DRA or telemetry nobody says which card it is: then only its place is known."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="gpus")
    position = models.IntegerField()
    """Place in the node's list, from 0; not the index of any driver."""
    uuid = models.CharField(max_length=80, blank=True)
    product = models.CharField(max_length=200, blank=True)
    memory_mib = models.IntegerField(null=True, blank=True)
    pci_bus_id = models.CharField(max_length=30, blank=True)
    mig_enabled = models.BooleanField(null=True, blank=True)
    source = models.CharField(max_length=60, blank=True)

    class Meta:
        ordering = ["node", "position"]
        constraints = [models.UniqueConstraint(fields=["node", "position"], name="gpu_once_per_place")]

    def __str__(self) -> str:
        return f"{self.node} GPU {self.position}"


class MigInstance(models.Model):
    """One MIG instance; its card is known only where something names it."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="mig_instance_rows")
    position = models.IntegerField()
    profile = models.CharField(max_length=60)
    uuid = models.CharField(max_length=80, blank=True)
    gpu_uuid = models.CharField(max_length=80, blank=True)
    gi_id = models.CharField(max_length=10, blank=True)
    """DCGM's id of the instance on its card."""
    memory_mib = models.IntegerField(null=True, blank=True)

    class Meta:
        ordering = ["node", "position"]
        constraints = [models.UniqueConstraint(fields=["node", "position"], name="mig_once_per_place")]

    def __str__(self) -> str:
        return f"{self.node} {self.profile}"
