"""Recent changes: verdicts, nodes that joined or left, drivers, geometry, clusters that became unreachable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import F, Func, OuterRef, QuerySet, Subquery
from django.db.models.fields import DateTimeField

from fleet.domain.history.changes import kind_of
from fleet.models import Cluster, Node, VerdictPeriod
from fleet.selectors.history import changes

ALIKE_WITHIN = timedelta(minutes=1)
"""Maximum time between the same change on two nodes that are shown as one event."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `kind` is verdict, joined, left, changed, labels or cluster_lost."""

    at: datetime
    kind: str
    cluster: str
    node: str = ""
    before: str = ""
    after: str = ""
    """For `verdict` the two verdicts."""
    detail: str = ""
    changes: tuple[dict[str, object], ...] = ()
    others: int = 0
    """Further nodes on which the same happened."""


def events(
    nodes: QuerySet[Node], since: datetime, until: datetime, *, cluster: str = "", limit: int = 8
) -> tuple[list[Event], int]:
    """Verdicts and lost clusters first, then nodes that came or went, then other changes; newest first in each.

    Like things on many nodes are one, changes of nothing but labels are one for all nodes. With how many more there were.
    `cluster` is the one whose nodes these are, or empty for all. Five queries.
    """
    happened = [
        *_lost(since, until, cluster),
        *_folded(_verdicts(nodes, since, until), _facts(since, until, cluster)),
    ]
    together = ranked(alike_together(labels_together(happened)))
    return together[:limit], max(0, len(together) - limit)


_RANK = {"cluster_lost": 0, "verdict": 0, "joined": 1, "left": 1, "changed": 2, "labels": 3}


def ranked(happened: Iterable[Event]) -> list[Event]:
    """Returns changes of usable GPUs first, then joined and removed nodes, then changes of facts; newest first in each."""
    newest = sorted(happened, key=lambda event: event.at, reverse=True)
    return sorted(newest, key=lambda event: _RANK.get(event.kind, 2))


def labels_together(happened: Iterable[Event]) -> list[Event]:
    """Merges changes of labels that are not about GPUs into one event.

    `changes` are all of them, `others` the nodes beside that of the newest.
    """
    rest: list[Event] = []
    labels: list[Event] = []
    for event in happened:
        (labels if event.kind == "changed" and event.changes and all(map(_is_churn, event.changes)) else rest).append(event)
    if labels:
        newest = max(labels, key=lambda event: event.at)
        nodes = {(event.cluster, event.node) for event in labels}
        every = tuple(change for event in labels for change in event.changes)
        rest.append(replace(newest, kind="labels", changes=every, others=len(nodes) - 1))
    return rest


def _is_churn(change: Mapping[str, object]) -> bool:
    """Returns whether a change is of a label that is not about GPUs, or of one that was only added or removed.

    A restart of GPU feature discovery removes all of its labels for a minute; an upgrade writes another value.
    """
    if change.get("section") != "labels":
        return False
    before, after = change.get("before"), change.get("after")
    texts = {"section": "labels", "key": str(change.get("key")), "before": _text(before), "after": _text(after)}
    return before is None or after is None or kind_of(texts) == "labels"


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _verdicts(nodes: QuerySet[Node], since: datetime, until: datetime) -> Iterator[Event]:
    started = Func(F("period"), function="lower", output_field=DateTimeField())
    before = VerdictPeriod.objects.filter(node=OuterRef("node"), period__endswith=OuterRef("started"))
    rows = (
        VerdictPeriod.objects.annotate(started=started)
        .filter(started__gt=since, started__lte=until, node__in=nodes.order_by(), continues_since__isnull=True)
        .annotate(before=Subquery(before.values("verdict")[:1]))
        .order_by("-started", "node__name")
        .values_list("started", "before", "verdict", "broken_rung", "reason", "node__name", "node__cluster__name")
    )
    for at, was, verdict, rung, reason, node, cluster in rows[:400]:
        if was is not None and was != verdict:
            result = rung if verdict not in ("ready", "excluded") and rung else reason
            yield Event(at, "verdict", cluster, node, was, verdict, result)


def _facts(since: datetime, until: datetime, cluster: str) -> Iterator[Event]:
    for recent_change in changes.recent_changes(since, until, limit=200):
        if cluster in ("", recent_change.cluster):
            yield Event(
                recent_change.at, recent_change.kind, recent_change.cluster, recent_change.node, changes=recent_change.changes
            )


def _lost(since: datetime, until: datetime, cluster: str) -> Iterator[Event]:
    lost = Cluster.objects.filter(removed_at__isnull=True, failing_since__gt=since, failing_since__lte=until)
    for name, at, error in lost.values_list("name", "failing_since", "error"):
        if at is not None and cluster in ("", name):
            yield Event(at, "cluster_lost", name, detail=error)


def _folded(verdicts: Iterable[Event], facts: Iterable[Event]) -> Iterator[Event]:
    """A change of facts together with a change of verdict is shown in one line."""
    by_moment = {(event.cluster, event.node, event.at): event for event in verdicts}
    for fact in facts:
        key = (fact.cluster, fact.node, fact.at)
        if fact.kind == "changed" and key in by_moment:
            by_moment[key] = replace(by_moment[key], changes=fact.changes)
        else:
            yield fact
    yield from by_moment.values()


def alike_together(happened: Iterable[Event]) -> list[Event]:
    """Merges the same change on many nodes at one time into one event, at its newest moment.

    The same step of verdict for the same reason, or the same first change of facts. What differs between them is left to each
    node's page. What happens again minutes later is another event.
    """
    rows_of: list[Event] = []
    latest: dict[tuple[object, ...], tuple[int, datetime]] = {}
    for event in sorted(happened, key=lambda row: row.at, reverse=True):
        first = event.changes[0] if event.changes and event.kind == "changed" else {}
        rows = tuple(str(first.get(name)) for name in ("section", "key", "before", "after"))
        where = event.cluster if event.kind == "cluster_lost" else ""
        key = (event.kind, event.before, event.after, event.detail, rows, where)
        position, earliest = latest.get(key, (-1, event.at))
        if position < 0 or earliest - event.at > ALIKE_WITHIN:
            latest[key] = len(rows_of), event.at
            rows_of.append(event)
            continue
        latest[key] = position, event.at
        group = rows_of[position]
        same = event.changes if event.changes == group.changes else ()
        shared = same or (group.changes[:1] if event.kind == "changed" else ())
        rows_of[position] = replace(group, others=group.others + 1, changes=shared)
    return rows_of
