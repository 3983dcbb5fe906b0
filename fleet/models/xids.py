"""Xid errors: bursts of one code on one GPU, and operators' overrides of codes."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from fleet.models.nodes import Node


class XidBurstRow(models.Model):
    """Events of one Xid code on one GPU with less than three minutes of quiet between them."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="xid_bursts")
    uuid = models.TextField()
    code = models.BigIntegerField()
    started_at = models.DateTimeField()
    last_at = models.DateTimeField()
    count = models.BigIntegerField(default=1)
    """Events seen: a lower bound, the gauge exports only the last code."""
    source = models.TextField(blank=True)
    pods = models.JSONField(default=list)
    job = models.TextField(blank=True)
    reported_by = models.TextField(blank=True, db_default="")
    """The monitor whose condition or Event it is; empty where only telemetry shows it."""
    incident = models.TextField(blank=True, db_index=True)
    """Bursts of one crash over many nodes share it."""

    class Meta:
        db_table = "fleet_xidburst"
        verbose_name = "Xid burst"
        ordering = ["-started_at"]
        constraints = [models.UniqueConstraint(fields=["node", "uuid", "code", "started_at"], name="xid_burst_once")]
        indexes = [models.Index(fields=["node", "-last_at"], name="xid_burst_recent")]

    def __str__(self) -> str:
        return f"Xid {self.code} on {self.uuid}"


class XidOverride(models.Model):
    """An operator's decision on what a code means here, instead of the catalogue's."""

    code = models.IntegerField(unique=True)
    severity = models.CharField(max_length=20)
    action = models.CharField(max_length=40, blank=True)
    reason = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return f"Xid {self.code}: {self.severity}"
