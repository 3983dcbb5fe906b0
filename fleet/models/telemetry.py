"""Telemetry: the newest values of each GPU and MIG instance, a bounded recent history, exporters and model servers."""

from __future__ import annotations

from django.db import models

from fleet.models.clusters import Cluster
from fleet.models.fields import FactsField
from fleet.models.nodes import Node


class DeviceTelemetry(models.Model):
    """The newest sample of one physical GPU, or of one MIG instance of it."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="telemetry")
    uuid = models.TextField()
    gi_id = models.TextField(blank=True)
    at = models.DateTimeField()
    source = models.TextField(blank=True)
    sample = FactsField(default=dict)
    """domain.telemetry.DeviceSample."""

    class Meta:
        ordering = ["node", "uuid", "gi_id"]
        constraints = [models.UniqueConstraint(fields=["node", "uuid", "gi_id"], name="telemetry_once_per_device")]

    def __str__(self) -> str:
        return f"{self.uuid} {self.gi_id}".strip()


class TelemetryFrame(models.Model):
    """One node's devices at one moment, for the curves of its page.

    The table is partitioned by hour of `at` and old partitions are dropped, which leaves no bloat: rows are
    written and read through services/recording/telemetry.py and selectors/telemetry.py only. It has no single-column key in
    the database.
    """

    node_id = models.BigIntegerField()
    at = models.DateTimeField(primary_key=True)
    values = models.JSONField()
    """Device key (domain.telemetry.DeviceSample.key) to metric id to value; only what was measured."""

    class Meta:
        managed = False
        db_table = "fleet_telemetryframe"

    def __str__(self) -> str:
        return f"{self.node_id} {self.at}"


class Exporter(models.Model):
    """Outcome of the newest scrape of one exporter."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="exporters")
    node_name = models.TextField()
    namespace = models.TextField(blank=True)
    pod = models.TextField(blank=True)
    at = models.DateTimeField(null=True, blank=True)
    report = FactsField(default=dict)
    """domain.telemetry.ExporterReport."""

    class Meta:
        ordering = ["node_name", "pod"]
        constraints = [models.UniqueConstraint(fields=["cluster", "node_name", "namespace", "pod"], name="exporter_once")]

    def __str__(self) -> str:
        return f"{self.node_name} {self.pod}"


class ModelServerRow(models.Model):
    """One model server pod with its newest numbers."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="model_servers")
    namespace = models.TextField()
    pod = models.TextField()
    kind = models.TextField()
    at = models.DateTimeField(null=True, blank=True)
    served_at = models.DateTimeField(null=True, blank=True)
    """When it was last seen to have answered a request."""
    ready_at = models.DateTimeField(null=True, blank=True)
    """When its pod was last seen ready."""
    server = FactsField(default=dict)
    """domain.telemetry.ModelServer."""

    class Meta:
        db_table = "fleet_modelserver"
        verbose_name = "model server"
        ordering = ["namespace", "pod"]
        constraints = [models.UniqueConstraint(fields=["node", "namespace", "pod"], name="model_server_once")]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}"
