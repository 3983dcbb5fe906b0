"""Changes of nodes, from their revisions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, Func, Min, Q, QuerySet
from django.db.models.fields import DateTimeField

from fleet.domain.history.changes import JOINED, LEFT, Group, NodeChange, group, steps
from fleet.models import Node, NodeRevision
from fleet.models.joined import joined


@dataclass(frozen=True, slots=True)
class Change:
    """A moment in a node's life: `kind` is joined, left or changed; `changes` as NodeRevision keeps them."""

    at: datetime
    kind: str
    cluster: str
    node: str
    changes: tuple[dict[str, object], ...]


def recent_changes(since: datetime, until: datetime, *, limit: int = 50) -> list[Change]:
    """Newest first. Nodes present at a cluster's first collection run did not join."""
    started = Func(F("period"), function="lower", output_field=DateTimeField())
    revisions = (
        NodeRevision.objects.annotate(started=started)
        .filter(started__gte=since, started__lt=until, node__cluster__removed_at__isnull=True)
        .order_by("-started", "node__name")
    )
    revisions = joined(revisions, "node", "node__cluster").defer("facts")
    first_readings = _first_readings(revisions)
    rows = [
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
    gone = Node.objects.filter(Q(removed_at__gte=since, removed_at__lt=until), cluster__removed_at__isnull=True)
    left = gone.select_related("cluster").only("name", "removed_at", "cluster__name")[:limit]
    rows += [Change(node.removed_at, "left", node.cluster.name, node.name, ()) for node in left if node.removed_at]
    return sorted(rows, key=lambda change: change.at, reverse=True)[:limit]


def _first_readings(revisions: QuerySet) -> dict[int, datetime]:
    rows = Node.objects.values("cluster_id").annotate(first=Min("first_seen_at"))
    return {row["cluster_id"]: row["first"] for row in rows}


@dataclass(frozen=True, slots=True)
class ChangeLog:
    """Changes of a window, nodes with the same change grouped, the newest first."""

    groups: tuple[Group, ...]
    complete_from: datetime
    """The beginning of the window, or a later moment where there were too many changes to read."""


MOST = 20_000
"""Most revisions that are read for one log: they take about a second."""


def change_log(
    since: datetime,
    until: datetime,
    *,
    clusters: Collection[str] = (),
    kinds: Collection[str] = (),
    node: str = "",
    most: int = MOST,
) -> ChangeLog:
    """Returns the changes of node data in [since, until), with nodes that joined or left; empty filters match everything."""
    started = Func(F("period"), function="lower", output_field=DateTimeField())
    revisions = NodeRevision.objects.annotate(started=started).filter(
        started__gte=since, started__lt=until, node__cluster__removed_at__isnull=True
    )
    left = Node.objects.filter(removed_at__gte=since, removed_at__lt=until, cluster__removed_at__isnull=True)
    if clusters:
        revisions, left = revisions.filter(node__cluster__name__in=clusters), left.filter(cluster__name__in=clusters)
    if node:
        revisions, left = revisions.filter(node__name=node), left.filter(name=node)
    first_readings = _first_readings(revisions)
    rows = list(
        revisions.order_by("-started").values_list("started", "node__cluster_id", "node__cluster__name", "node__name", "changes")[
            : most + 1
        ]
    )
    complete_from = since if len(rows) <= most else rows[-1][0]
    events = [
        NodeChange(at, cluster, name, step)
        for at, cluster_id, cluster, name, changes in rows[:most]
        for step in (steps(changes) if changes else [JOINED] if at != first_readings.get(cluster_id) else [])
    ]
    events += [
        NodeChange(at, cluster, name, LEFT)
        for at, cluster, name in left.filter(removed_at__gte=complete_from).values_list("removed_at", "cluster__name", "name")
        if at is not None
    ]
    wanted = frozenset(kinds)
    return ChangeLog(tuple(group(event for event in events if not wanted or event.step.kind in wanted)), complete_from)
