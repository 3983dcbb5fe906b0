"""What changed on the nodes of an incident before it began, and how many other nodes changed alike without an incident."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from fleet.domain.history.changes import Group
from fleet.models import Node
from fleet.selectors.history import changes
from fleet.selectors.incidents.rows import IncidentRow

BEFORE = timedelta(hours=24)
_KINDS = (
    "driver", "mig", "sharing", "taints", "cordon", "stack", "capacity", "kernel", "os", "kubelet", "reboot", "labels", "joined",
)  # fmt: skip
"""Kinds that may be a reason. A changed condition or device is the fault itself."""
MOST = 5


@dataclass(frozen=True, slots=True)
class Split:
    """A change before an incident: how many of its nodes have it, and how many others of the cluster."""

    change: Group
    broken: int
    broken_of: int
    others: int
    others_of: int


def changes_before(row: IncidentRow) -> list[Split]:
    """Returns the changes of the 24 h before the first evidence that touched one of its nodes.

    Those that most of its nodes and fewest others have come first. A split is evidence, not proof. Four queries.
    """
    names = {node.name for node in row.nodes}
    if not row.cluster or not names:
        return []
    log = changes.change_log(row.first_evidence_at - BEFORE, row.first_evidence_at, clusters=[row.cluster], kinds=_KINDS)
    others_of = Node.objects.filter(cluster__name=row.cluster, removed_at__isnull=True).exclude(name__in=names).count()
    splits = [
        Split(group, len(names & set(group.nodes)), len(names), len(set(group.nodes) - names), others_of)
        for group in log.groups
        if names & set(group.nodes)
    ]
    return sorted(splits, key=_explains)[:MOST]


def _explains(split: Split) -> tuple[float, float]:
    others = split.others / split.others_of if split.others_of else 0.0
    return (others - split.broken / split.broken_of, -split.change.at.timestamp())
