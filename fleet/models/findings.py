"""Findings, from when they were opened to when they were resolved; and their silences."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import DateTimeRangeField
from django.db import models
from django.db.models import F, Func, Q

from fleet.models.clusters import Cluster
from fleet.models.constraints import never_overlap
from fleet.models.fields import FactsField
from fleet.models.nodes import Node


class FindingRow(models.Model):
    """One finding over its time. A node is null where it is about the cluster, a pool or a class."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="findings", null=True, blank=True)
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="findings", null=True, blank=True)
    rule = models.CharField(max_length=60)
    key = models.CharField(max_length=300, blank=True)
    subject = models.CharField(max_length=20, default="node")
    severity = models.CharField(max_length=20)
    text = models.TextField()
    evidence = FactsField(default=list)
    remedy = models.TextField(blank=True)
    rung = models.TextField(blank=True)
    period = DateTimeRangeField()
    """[opened, resolved); open at the end while it is current."""
    evidence_at = models.DateTimeField(null=True, blank=True)
    """Earliest moment that its evidence names (domain/incidents/first_evidence.py); null before it was grouped."""
    incident = models.ForeignKey("self", on_delete=models.SET_NULL, related_name="incident_findings", null=True, blank=True)
    """The finding that names its incident (domain/incidents/grouping.py), often itself; null before it was grouped."""

    class Meta:
        db_table = "fleet_finding"
        verbose_name = "finding"
        ordering = ["-period"]
        constraints = [
            never_overlap("finding_periods_do_not_overlap", ids=("cluster", "node"), texts=("rule", "key")),
            models.CheckConstraint(condition=Q(period__isempty=False), name="finding_period_not_empty"),
        ]
        indexes = [
            models.Index(fields=["cluster", "node"], condition=Q(period__endswith__isnull=True), name="finding_open"),
            models.Index(Func(F("period"), function="lower"), name="finding_by_start"),
            models.Index(Func(F("period"), function="upper"), name="finding_by_end"),
        ]

    def __str__(self) -> str:
        return f"{self.rule} {self.key}".strip()


class Silence(models.Model):
    """A finding that is hidden from lists and notifications for a while, as in Alertmanager: it stays open."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, null=True, blank=True)
    node = models.ForeignKey(Node, on_delete=models.CASCADE, null=True, blank=True)
    """Null: on every node of the scope."""
    rule = models.CharField(max_length=60)
    key = models.CharField(max_length=300, blank=True)
    """Empty: every key."""
    reason = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True)
    created_at = models.DateTimeField()
    until = models.DateTimeField()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.rule} until {self.until}"
