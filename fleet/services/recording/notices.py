"""The outbox: what changed in this pass and is worth telling somebody, in the pass's own transaction."""

from __future__ import annotations

from datetime import datetime

from fleet.models import Cluster


def record(cluster: Cluster, at: datetime) -> None:
    """Writes a notice for each verdict period and finding that began or ended at `at`, read from their rows."""
