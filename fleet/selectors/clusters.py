"""Clusters and how fresh their truth is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce, Greatest, Least
from django.utils import timezone

from fleet.models import Cluster, CollectionRun, Node, Pool, WorkloadClass


def clusters() -> QuerySet[Cluster]:
    """Every cluster that the configuration names."""
    return Cluster.objects.filter(removed_at__isnull=True)


def get_cluster(name: str) -> Cluster | None:
    return clusters().filter(name=name).first()


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the truth about a cluster is. `level` is live, late (more than two intervals), stale or never."""

    level: str
    read_at: datetime | None
    unknown_at: datetime | None
    """When verdicts turn unknown if nothing is read until then; None for never read."""


def freshness(cluster: Cluster, now: datetime) -> Freshness:
    """Judged by the last reading whose list of nodes was whole."""
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


@dataclass(frozen=True, slots=True)
class ClusterRow:
    """One cluster with what its GPU nodes add up to. Sums are None where no node told the figure."""

    cluster: Cluster
    freshness: Freshness
    nodes: int
    physical: int | None
    expected: int | None
    usable: int | None
    """Of ready and degraded nodes, as the fleet's own sum counts them."""
    offered: int | None
    slots_capacity: int | None
    slots_allocatable: int | None
    slots_requested: int | None
    slots_free: int | None
    unread: tuple[dict[str, Any], ...]
    """Reports of the sections that the newest pass could not read."""


_ALIVE = Q(nodes__removed_at__isnull=True)
_EXPECTED = Greatest("nodes__expected", "nodes__physical")
_USABLE = Least(Coalesce("nodes__usable", 0), Coalesce(_EXPECTED, 0))


def cluster_rows(now: datetime) -> list[ClusterRow]:
    """Every cluster, those that cannot be read first, then by name. One query."""
    rows = clusters().annotate(
        total_nodes=Count("nodes", filter=_ALIVE),
        total_physical=Sum("nodes__physical", filter=_ALIVE),
        total_expected=Sum(_EXPECTED, filter=_ALIVE),
        total_usable=Sum(_USABLE, filter=_ALIVE),
        total_offered=Sum("nodes__offered", filter=_ALIVE),
        total_capacity=Sum("nodes__slots_capacity", filter=_ALIVE),
        total_allocatable=Sum("nodes__slots_allocatable", filter=_ALIVE),
        total_requested=Sum("nodes__slots_requested", filter=_ALIVE),
        total_free=Sum("nodes__slots_free", filter=_ALIVE),
    )
    found = [
        ClusterRow(
            cluster=row,
            freshness=freshness(row, now),
            nodes=row.total_nodes,
            physical=row.total_physical,
            expected=row.total_expected,
            usable=row.total_usable if row.total_expected is not None else None,
            offered=row.total_offered,
            slots_capacity=row.total_capacity,
            slots_allocatable=row.total_allocatable,
            slots_requested=row.total_requested,
            slots_free=row.total_free,
            unread=tuple(one for one in row.sections if one["outcome"] not in ("collected", "absent")),
        )
        for row in rows
    ]
    rank = {"never": 0, "stale": 0, "late": 1, "live": 2}
    return sorted(found, key=lambda row: (rank[row.freshness.level], row.cluster.name))


def stale_cluster_ids(now: datetime) -> frozenset[int]:
    """Clusters whose truth is too old, or failing, to be shown as current."""
    return frozenset(row.pk for row in clusters() if freshness(row, now).level in ("stale", "never"))


def runs() -> QuerySet[CollectionRun]:
    """Collection runs of every cluster that ever was, newest first."""
    return CollectionRun.objects.select_related("cluster").order_by("-started_at", "-id")


def newest_runs() -> list[tuple[str, float]]:
    """(cluster, seconds) of each configured cluster's newest ended pass; one query."""
    newest = (
        CollectionRun.objects.filter(cluster=OuterRef("pk"), finished_at__isnull=False)
        .order_by("-started_at", "-id")
        .annotate(took=F("finished_at") - F("started_at"))
        .values("took")[:1]
    )
    rows = clusters().annotate(took=Subquery(newest)).values_list("name", "took")
    return [(name, took.total_seconds()) for name, took in rows if took is not None]


def data_version() -> str:
    """A short text that changes whenever something a page may show did. One query over the few cluster rows.

    A level of freshness changes with time alone: when nobody reads any more, the pages must still turn stale.
    """
    now = timezone.now()
    seen = [
        (row.pk, row.changes, row.outcome, row.error, row.queued_at, row.taken_at, freshness(row, now).level)
        for row in clusters().order_by("pk")
    ]
    return hashlib.blake2b(repr(seen).encode(), digest_size=8).hexdigest()


def counts() -> dict[str, int]:
    """What the navigation shows beside its entries. One query."""
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
