"""Findings over time: opened when a rule first sees them, resolved when a rule that could look no longer does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from fleet.domain.judgement import Judgement
from fleet.models import Cluster


def record(cluster: Cluster, judgement: Judgement, ids: Mapping[str, int], at: datetime) -> None:
    """Opens, updates and resolves findings. A rule that answered unknown or not_enabled leaves its findings as they are."""
