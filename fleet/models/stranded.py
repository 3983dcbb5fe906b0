"""Stranded GPUs day by day, per product, pool and class."""

from __future__ import annotations

from django.db import models


class StrandedDay(models.Model):
    """One day of a product, pool or class: the samples of that day added up, and the newest one.

    A day without a sample has no row: that is unknown, not zero.
    """

    day = models.DateField()
    """In UTC."""
    kind = models.CharField(max_length=10)
    """product, pool or class (domain.stranded.report.KINDS)."""
    name = models.TextField(blank=True)
    """Product, or slug."""
    samples = models.IntegerField()
    free_sum = models.BigIntegerField()
    stranded_sum = models.BigIntegerField()
    most_stranded = models.IntegerField()
    free_gpus = models.IntegerField()
    """Of the newest sample, as the four below."""
    stranded_gpus = models.IntegerField()
    unknown_nodes = models.IntegerField(default=0)
    reasons = models.JSONField(default=dict)
    """Reason to GPUs."""
    at = models.DateTimeField()

    class Meta:
        ordering = ["day", "kind", "name"]
        constraints = [models.UniqueConstraint(fields=["day", "kind", "name"], name="stranded_day_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.name} {self.day}"
