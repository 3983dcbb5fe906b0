"""Collection runs: one row per run of one cluster, written when it starts and again when it ends."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from fleet.models.clusters import Cluster


class RunOutcome(models.TextChoices):
    RUNNING = "running"
    OK = "ok"
    PARTIAL = "partial"
    FAILED = "failed"
    LOST = "lost"
    """The worker died during the run: the row was still running, and the cluster's lock was free."""


class LossCause(models.TextChoices):
    """Why a run ended without recording anything, where the cluster was not the cause."""

    WORKER = "worker"
    MEMORY = "memory"
    UNKNOWN = "unknown"
    """The worker or its connection to the database: which one is unknown."""
    DATABASE = "database"
    STOPPED = "stopped"
    """Muster was shut down."""
    PAUSED = "paused"
    """Not begun, because the runs before killed their workers."""


class CollectionRun(models.Model):
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="runs")
    trigger = models.CharField(max_length=20)
    """first, schedule, page, api or cli."""
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=20, choices=RunOutcome.choices, default=RunOutcome.RUNNING)
    sections = models.JSONField(default=list)
    error = models.TextField(blank=True)
    nodes = models.IntegerField(null=True, blank=True)
    pods = models.IntegerField(null=True, blank=True)
    changes = models.IntegerField(null=True, blank=True)
    """Rows of the inventory that this run wrote; null when it recorded nothing."""
    worker = models.JSONField(default=dict)
    """Host, pid and start of the process that carries it out, and the kernel's count of memory kills when it began."""
    progress = models.JSONField(null=True, blank=True)
    """Of a cluster's first run: {resource, read, about} of the list that is being read, and how many it may have in all."""
    cause = models.CharField(max_length=20, choices=LossCause.choices, blank=True)

    class Meta:
        ordering = ["-started_at", "-id"]
        indexes = [
            models.Index(fields=["cluster", "-started_at"], name="run_by_cluster"),
            models.Index(fields=["-started_at", "-id"], name="run_newest_first"),
            models.Index(fields=["cluster"], condition=Q(outcome="running"), name="run_running"),
        ]

    def __str__(self) -> str:
        return f"{self.cluster} {self.started_at:%Y-%m-%d %H:%M:%S}"
