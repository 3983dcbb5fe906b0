"""Decisions of operators, with name and reason: waivers, declared counts, maintenance."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from fleet.models.clusters import Cluster


class WaiverRow(models.Model):
    """A rung that is not required in a cluster or pool."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, null=True, blank=True, related_name="waivers")
    pool = models.CharField(max_length=63, blank=True)
    """Slug of a pool; empty for the whole cluster."""
    rung = models.CharField(max_length=40)
    reason = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True)
    at = models.DateTimeField()

    class Meta:
        db_table = "fleet_waiver"
        verbose_name = "waiver"
        ordering = ["rung"]
        constraints = [
            models.UniqueConstraint(fields=["cluster", "pool", "rung"], nulls_distinct=False, name="waiver_once"),
            models.CheckConstraint(condition=Q(cluster__isnull=False) | ~Q(pool=""), name="waiver_has_a_place"),
        ]

    def __str__(self) -> str:
        return f"{self.rung} waived"


class ExpectedGpus(models.Model):
    """Physical GPUs that nodes should have, declared instead of learned: of one node, or of a machine type and product."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, null=True, blank=True)
    node_name = models.TextField(blank=True)
    machine_type = models.TextField(blank=True)
    product = models.TextField(blank=True)
    count = models.IntegerField()
    reason = models.TextField(blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["machine_type", "node_name"]
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "node_name", "machine_type", "product"], nulls_distinct=False, name="expected_gpus_once"
            ),
            models.CheckConstraint(condition=Q(count__gte=0, count__lte=1024), name="expected_gpus_plausible"),
        ]

    def __str__(self) -> str:
        return f"{self.node_name or self.machine_type}: {self.count}"


class Maintenance(models.Model):
    """A node taken out on purpose, in Muster: its verdict is excluded until then. Nothing is done to the cluster."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="maintenances")
    node_name = models.TextField()
    reason = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True)
    at = models.DateTimeField()
    until = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-at"]
        constraints = [models.UniqueConstraint(fields=["cluster", "node_name"], name="maintenance_once")]

    def __str__(self) -> str:
        return f"{self.node_name}: {self.reason}"
