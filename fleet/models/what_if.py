"""Forecasts of changes that people kept, to be compared with what happened."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from fleet.models.clusters import Cluster
from fleet.models.fields import FactsField


class KeptForecast(models.Model):
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="kept_forecasts")
    title = models.CharField(max_length=200)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()
    changes = FactsField(default=list)
    """As they were given."""
    nodes = FactsField(default=list)
    """domain.whatif.comparison.ForecastNode of every node that the change touches."""
    classes = FactsField(default=list)
    """Slug, replicas before and after, of every class whose room was to change."""

    class Meta:
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.cluster}: {self.title}"
