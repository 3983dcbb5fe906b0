"""What changed lately, as a person tells it: verdicts, nodes that came and went, drivers, geometry, clusters that fell silent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import F, Func, OuterRef, QuerySet, Subquery
from django.db.models.fields import DateTimeField

from fleet.models import Cluster, Node, VerdictPeriod
from fleet.selectors import changes


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `kind` is verdict, joined, left, changed or cluster_lost."""

    at: datetime
    kind: str
    cluster: str
    node: str = ""
    before: str = ""
    after: str = ""
    """For `verdict` the two verdicts."""
    detail: str = ""
    changes: tuple[dict[str, Any], ...] = ()
    others: int = 0
    """Further nodes on which the same happened."""


def events(
    nodes: QuerySet[Node], since: datetime, until: datetime, *, cluster: str = "", limit: int = 8
) -> tuple[list[Event], int]:
    """Newest first, like things on many nodes as one; and how many more there were. `cluster` is the one whose nodes these are,
    or empty for all. Five queries."""
    happened = [
        *_lost(since, until, cluster),
        *_folded(_verdicts(nodes, since, until), _facts(since, until, cluster)),
    ]
    together = sorted(_together(happened), key=lambda event: event.at, reverse=True)
    return together[:limit], max(0, len(together) - limit)


def _verdicts(nodes: QuerySet[Node], since: datetime, until: datetime) -> Iterator[Event]:
    started = Func(F("period"), function="lower", output_field=DateTimeField())
    before = VerdictPeriod.objects.filter(node=OuterRef("node"), period__endswith=OuterRef("started"))
    rows = (
        VerdictPeriod.objects.annotate(started=started)
        .filter(started__gt=since, started__lte=until, node__in=nodes.order_by())
        .annotate(before=Subquery(before.values("verdict")[:1]))
        .order_by("-started", "node__name")
        .values_list("started", "before", "verdict", "broken_rung", "reason", "node__name", "node__cluster__name")
    )
    for at, was, verdict, rung, reason, node, cluster in rows[:400]:
        if was is not None and was != verdict:
            told = rung if verdict not in ("ready", "excluded") and rung else reason
            yield Event(at, "verdict", cluster, node, was, verdict, told)


def _facts(since: datetime, until: datetime, cluster: str) -> Iterator[Event]:
    for one in changes.recent_changes(since, until, limit=200):
        if cluster in ("", one.cluster):
            yield Event(one.at, one.kind, one.cluster, one.node, changes=one.changes)


def _lost(since: datetime, until: datetime, cluster: str) -> Iterator[Event]:
    lost = Cluster.objects.filter(removed_at__isnull=True, failing_since__gt=since, failing_since__lte=until)
    for name, at, error in lost.values_list("name", "failing_since", "error"):
        if at is not None and cluster in ("", name):
            yield Event(at, "cluster_lost", name, detail=error)


def _folded(verdicts: Iterable[Event], facts: Iterable[Event]) -> Iterator[Event]:
    """A change of facts that came with a change of verdict stands in one line with it."""
    by_moment = {(event.cluster, event.node, event.at): event for event in verdicts}
    for fact in facts:
        key = (fact.cluster, fact.node, fact.at)
        if fact.kind == "changed" and key in by_moment:
            by_moment[key] = replace(by_moment[key], changes=fact.changes)
        else:
            yield fact
    yield from by_moment.values()


def _together(happened: Iterable[Event]) -> list[Event]:
    """The same thing on many nodes is one event, at its newest moment: the same step of verdict for the same reason, or the same
    first change of facts. What differs between them is left to each node's page."""
    found: dict[tuple[Any, ...], Event] = {}
    for event in sorted(happened, key=lambda one: one.at, reverse=True):
        first = event.changes[0] if event.changes and event.kind == "changed" else {}
        told = tuple(str(first.get(name)) for name in ("section", "key", "before", "after"))
        where = event.cluster if event.kind == "cluster_lost" else ""
        key = (event.kind, event.before, event.after, event.detail, told, where)
        if key not in found:
            found[key] = event
            continue
        same = event.changes if event.changes == found[key].changes else ()
        shared = same or (found[key].changes[:1] if event.kind == "changed" else ())
        found[key] = replace(found[key], others=found[key].others + 1, changes=shared)
    return list(found.values())
