"""Prices of GPUs: what one physical GPU costs for an hour, by product, cluster and machine type."""

from __future__ import annotations

from django.db import models


class Price(models.Model):
    """One price. An empty cluster or machine type stands for every one; the most specific price counts."""

    product = models.CharField(max_length=200)
    """As nodes report it, `NVIDIA-H100-80GB-HBM3`."""
    cluster = models.CharField(max_length=253, blank=True)
    machine_type = models.CharField(max_length=100, blank=True)
    per_gpu_hour = models.DecimalField(max_digits=12, decimal_places=4)
    """Of one physical GPU, whether it is used or not."""
    currency = models.CharField(max_length=3)
    """ISO 4217, `USD`."""
    source = models.CharField(max_length=200, blank=True)
    """Where the price is from: a contract, a price list."""
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["product", "cluster", "machine_type"]
        constraints = [models.UniqueConstraint(fields=["product", "cluster", "machine_type"], name="price_once")]

    def __str__(self) -> str:
        return f"{self.product} {self.per_gpu_hour} {self.currency}"
