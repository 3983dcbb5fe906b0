"""What the scheduler of a cluster reads besides nodes and pods: read by placement only, so it has a separate row."""

from __future__ import annotations

from django.db import models

from fleet.models.clusters import Cluster
from fleet.models.fields import FactsField


class SchedulingRow(models.Model):
    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, related_name="scheduling")
    objects_read = FactsField(default=dict)
    """domain.snapshot.SchedulingObjects, as the section `scheduling` was last read."""
    queues_read = FactsField(default=dict, db_default={})
    """domain.snapshot.queues.QueueObjects, as the section `queues` was last read."""

    class Meta:
        db_table = "fleet_scheduling"
        verbose_name = "scheduling objects"

    def __str__(self) -> str:
        return f"{self.cluster}: scheduling objects"
