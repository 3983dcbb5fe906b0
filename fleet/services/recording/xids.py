"""Xid bursts as rows: a burst that goes on is updated, a new one is added, several of one crash share an incident."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.domain.subject import ClusterMemory
from fleet.models import Cluster


def record(cluster: Cluster, memory: ClusterMemory, ids: Mapping[str, int]) -> None:
    """Writes the bursts in `memory` that differ from their rows."""
