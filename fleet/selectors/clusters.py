"""Clusters and the age of their data."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, F, OuterRef, Prefetch, QuerySet, Subquery, Value
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from fleet.domain.evaluation.fleet_figures import FleetFigures, sum_nodes
from fleet.domain.evaluation.node_capacity import Capacity, fleet_capacity
from fleet.models import Cluster, CollectionRun, Node, Pool, RunOutcome, SameBy, WorkloadClass
from fleet.models.joined import joined
from fleet.selectors.figures import figures_now, grouped


def clusters() -> QuerySet[Cluster]:
    """Every cluster that the configuration names."""
    return Cluster.objects.filter(removed_at__isnull=True)


@dataclass(frozen=True, slots=True)
class OtherContext:
    """A context of the configuration for a cluster that is collected under another name."""

    name: str
    server: str
    reason: str
    """Evidence that it is the same cluster."""
    is_used: bool
    """Whether the cluster is collected with this context's credentials."""


def with_contexts(rows: QuerySet[Cluster]) -> QuerySet[Cluster]:
    """Adds the other contexts of each cluster in one query."""
    return rows.prefetch_related(Prefetch("other_contexts", Cluster.objects.order_by("name")))


def other_contexts(cluster: Cluster) -> list[OtherContext]:
    """Returns the other contexts of a cluster by name; one query unless the rows came from `with_contexts`."""
    return [
        OtherContext(row.name, row.server, SameBy(row.same_by).label, is_used=row.name == cluster.read_through)
        for row in sorted(cluster.other_contexts.all(), key=lambda row: row.name)
    ]


def keeper_of(name: str) -> str:
    """Returns under which name the cluster of a context is collected; "" where the context has a cluster of its own, or none."""
    row = Cluster.objects.filter(name=name, same_as__isnull=False).select_related("same_as").first()
    return row.same_as.name if row is not None and row.same_as is not None else ""


def get_cluster(name: str) -> Cluster | None:
    return clusters().filter(name=name).first()


@dataclass(frozen=True, slots=True)
class Freshness:
    """Age of a cluster's data. `level` is live, late (more than two intervals), stale or never."""

    level: str
    read_at: datetime | None
    unknown_at: datetime | None
    """When verdicts turn unknown if nothing is read until then; None for never read."""


def freshness(cluster: Cluster, now: datetime) -> Freshness:
    """Returns the age since the last run with a complete list of nodes."""
    if cluster.read_at is None:
        return Freshness("never", None, None)
    age = now - cluster.read_at
    if age > settings.STALE_AFTER or cluster.failing_since is not None:
        level = "stale"
    elif age > 2 * settings.COLLECT_INTERVAL + timedelta(seconds=10):
        level = "late"
    else:
        level = "live"
    return Freshness(level, cluster.read_at, cluster.read_at + settings.STALE_AFTER)


_SAME_RUN_S = 5.0


def older_section(cluster: Cluster, section: str) -> datetime | None:
    """Returns when a section was last complete, if that is older than the cluster's list of nodes; else None."""
    text = (cluster.section_read_at or {}).get(section)
    at = parse_datetime(text) if text else None
    if at is None or cluster.read_at is None:
        return None
    return at if (cluster.read_at - at).total_seconds() > _SAME_RUN_S or cluster.failing_since else None


@dataclass(frozen=True, slots=True)
class FirstReading:
    """How far the first run of a cluster has come: objects of a list that were read, of about how many (None: unknown)."""

    resource: str
    read: int
    about: int | None


def first_readings() -> dict[int, FirstReading]:
    """Returns cluster id to the progress of its first run, while that goes on. One query."""
    going_on = CollectionRun.objects.filter(
        outcome=RunOutcome.RUNNING, progress__isnull=False, cluster__read_at__isnull=True, cluster__removed_at__isnull=True
    )
    return {pk: FirstReading(**progress) for pk, progress in going_on.values_list("cluster_id", "progress") if progress}


@dataclass(frozen=True, slots=True)
class ClusterRow:
    """One cluster with the sums of its GPU nodes. Sums are None if no node reports the figure."""

    cluster: Cluster
    freshness: Freshness
    nodes: int
    physical: int | None
    expected: int | None
    usable: int | None
    """Of ready and degraded nodes, as the fleet's own sum counts them."""
    advertised: int | None
    capacity: Capacity
    unread: tuple[dict[str, object], ...]
    """Reports of the sections that the newest run could not read."""
    other_contexts: tuple[OtherContext, ...] = ()
    reading: FirstReading | None = None
    """While the first run of a cluster goes on."""


def cluster_rows(now: datetime) -> list[ClusterRow]:
    """Returns every cluster, unreachable ones first, then by name. Four queries, and one while a cluster was never read."""
    present = Node.objects.filter(removed_at__isnull=True, cluster__removed_at__isnull=True)
    sums = grouped(figures_now(present, with_resources=False), dict(present.values_list("pk", "cluster_id")))
    nothing = sum_nodes(())
    configured = list(with_contexts(clusters()))
    readings = first_readings() if any(cluster.read_at is None for cluster in configured) else {}
    rows = [_row(cluster, sums.get(cluster.pk, nothing), readings.get(cluster.pk), now) for cluster in configured]
    rank = {"never": 0, "stale": 0, "late": 1, "live": 2}
    return sorted(rows, key=lambda row: (rank[row.freshness.level], row.cluster.name))


def _row(cluster: Cluster, figures: FleetFigures, reading: FirstReading | None, now: datetime) -> ClusterRow:
    counted = figures.is_counted and figures.nodes > 0
    return ClusterRow(
        cluster=cluster,
        freshness=freshness(cluster, now),
        nodes=figures.nodes,
        physical=figures.physical,
        expected=figures.expected if counted else None,
        usable=figures.usable if counted else None,
        advertised=figures.advertised if counted else None,
        capacity=fleet_capacity(figures),
        other_contexts=tuple(other_contexts(cluster)),
        reading=reading,
        unread=tuple(section for section in cluster.sections if section["outcome"] not in ("collected", "absent")),
    )


def stale_cluster_ids(now: datetime) -> frozenset[int]:
    """Returns clusters whose data is stale."""
    return frozenset(row.pk for row in clusters() if freshness(row, now).level in ("stale", "never"))


def runs() -> QuerySet[CollectionRun]:
    """Collection runs of every cluster, removed ones too, newest first."""
    return joined(CollectionRun.objects.order_by("-started_at", "-id"), "cluster")


def newest_runs() -> list[tuple[str, float]]:
    """(cluster, seconds) of each configured cluster's newest ended run; one query."""
    newest = (
        CollectionRun.objects.filter(cluster=OuterRef("pk"), finished_at__isnull=False)
        .order_by("-started_at", "-id")
        .annotate(took=F("finished_at") - F("started_at"))
        .values("took")[:1]
    )
    rows = clusters().annotate(took=Subquery(newest)).values_list("name", "took")
    return [(name, took.total_seconds()) for name, took in rows if took is not None]


def data_version() -> str:
    """A short text that changes whenever the data of a page does. One query over the few cluster rows.

    Freshness changes with time alone: without any run, the pages must still turn stale.
    """
    now = timezone.now()
    seen = [
        (row.pk, row.changes, row.outcome, row.error, row.queued_at, row.taken_at, freshness(row, now).level)
        for row in clusters().order_by("pk")
    ]
    if any(row[5] is None for row in seen):
        seen.append(tuple(sorted(first_readings().items())))  # type: ignore[arg-type]  # whatever it is, its text is taken
    return hashlib.blake2b(repr(seen).encode(), digest_size=8).hexdigest()


def counts() -> dict[str, int]:
    """Counts beside the entries of the navigation. One query."""
    counted = {
        "nodes": Node.objects.filter(removed_at__isnull=True, cluster__removed_at__isnull=True),
        "clusters": clusters(),
        "pools": Pool.objects.filter(removed_at__isnull=True),
        "classes": WorkloadClass.objects.filter(removed_at__isnull=True),
    }
    first, *others = (
        rows.order_by().annotate(kind=Value(kind)).values("kind").annotate(n=Count("pk")).values_list("kind", "n")
        for kind, rows in counted.items()
    )
    # a kind without a row is in no group
    return dict.fromkeys(counted, 0) | dict(first.union(*others, all=True))
