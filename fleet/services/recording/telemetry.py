"""Telemetry as rows: newest values per device, a frame per node for the curves, exporters, model servers."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.domain.snapshot import ClusterSnapshot
from fleet.models import Cluster


def record(cluster: Cluster, snapshot: ClusterSnapshot, ids: Mapping[str, int]) -> None:
    """Writes what this look measured; what it did not read keeps its last value and age. `ids`: node name to row."""
