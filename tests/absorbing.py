"""Records a snapshot that a test made up, as a collection run records what it collected."""

from __future__ import annotations

from fleet.domain.snapshot import ClusterSnapshot
from fleet.models import Cluster, CollectionRun
from fleet.services import refused_objects
from fleet.services.collection import run_steps


def absorb(cluster: Cluster, collected: ClusterSnapshot, run: CollectionRun) -> None:
    """Evaluates and records the snapshot, without the objects that cannot be recorded."""
    refused_objects.leave_out(cluster, run, lambda: collected, run_steps)
