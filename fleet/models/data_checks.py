"""The newest check of the database's invariants."""

from __future__ import annotations

from django.db import models


class DataCheck(models.Model):
    """One row: when the invariants were last checked, and which did not hold."""

    at = models.DateTimeField()
    took_ms = models.IntegerField()
    count = models.IntegerField()
    """Breaches, also those beyond the ones that are kept."""
    breaches = models.JSONField(default=list)
    """The first of them, one sentence each."""

    def __str__(self) -> str:
        return f"{self.count} breaches at {self.at:%Y-%m-%d %H:%M}"
