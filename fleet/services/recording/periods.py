"""Verdicts and rungs as periods: when one changes, the present period ends and the next begins, at the same moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from fleet.domain.judgement import JudgedNode
from fleet.domain.subject import ClusterMemory
from fleet.models import Cluster


def record(cluster: Cluster, judged: Sequence[JudgedNode], memory: ClusterMemory, ids: Mapping[str, int], at: datetime) -> None:
    """Writes the periods of every node whose verdict or rungs changed; `ids` holds every judged node's row by uid."""


def close(node_ids: Sequence[int], at: datetime) -> None:
    """Ends every present period of nodes that are gone."""
