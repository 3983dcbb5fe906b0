"""What changed on the nodes, read from their revisions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, Func, Q, QuerySet
from django.db.models.fields import DateTimeField

from fleet.models import Node, NodeRevision


@dataclass(frozen=True, slots=True)
class Change:
    """A moment in a node's life: `kind` is joined, left or changed; `changes` as NodeRevision keeps them."""

    at: datetime
    kind: str
    cluster: str
    node: str
    changes: tuple[dict[str, Any], ...]


def recent_changes(since: datetime, until: datetime, *, limit: int = 50) -> list[Change]:
    """Newest first. Nodes that were there at a cluster's very first reading did not join: they were found."""
    started = Func(F("period"), function="lower", output_field=DateTimeField())
    revisions = (
        NodeRevision.objects.annotate(started=started)
        .filter(started__gte=since, started__lt=until, node__cluster__removed_at__isnull=True)
        .select_related("node", "node__cluster")
        .order_by("-started", "node__name")
    )
    first_readings = _first_readings(revisions)
    found = [
        Change(
            revision.started,
            "changed" if revision.changes else "joined",
            revision.node.cluster.name,
            revision.node.name,
            tuple(revision.changes),
        )
        for revision in revisions[: limit * 4]
        if revision.changes or revision.started != first_readings.get(revision.node.cluster_id)
    ]
    left = Node.objects.filter(Q(removed_at__gte=since, removed_at__lt=until), cluster__removed_at__isnull=True).select_related(
        "cluster"
    )[:limit]
    found += [Change(node.removed_at, "left", node.cluster.name, node.name, ()) for node in left if node.removed_at]
    return sorted(found, key=lambda change: change.at, reverse=True)[:limit]


def _first_readings(revisions: QuerySet) -> dict[int, datetime]:
    from django.db.models import Min

    rows = Node.objects.values("cluster_id").annotate(first=Min("first_seen_at"))
    return {row["cluster_id"]: row["first"] for row in rows}
