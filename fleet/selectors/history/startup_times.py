"""How long new nodes take from kubelet Ready to their first good verdict."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import (
    Aggregate,
    Count,
    DurationField,
    ExpressionWrapper,
    F,
    FloatField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.functions import Coalesce, Extract

from fleet.models import Node, PoolMembership

BY = {"machine_type": "machine_type", "product": "product", "cluster": "cluster__name", "pool": "in_pool"}


@dataclass(frozen=True, slots=True)
class StartupMinutes:
    """Minutes of the nodes of one group that became good in the window."""

    name: str
    nodes: int
    median_min: float
    p90_min: float
    waiting: int
    """Nodes whose kubelet is ready and that have not been good yet: in no figure."""


class _Percentile(Aggregate):
    function = "percentile_cont"
    template = "%(function)s(%(share)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


_MINUTES = ExpressionWrapper(
    Extract(ExpressionWrapper(F("gpu_ready_at") - F("kubelet_ready_at"), output_field=DurationField()), "epoch") / 60.0,
    output_field=FloatField(),
)


def startup_times_by(by: str, since: datetime, until: datetime, *, cluster: str = "") -> list[StartupMinutes]:
    """The slowest first. Nodes whose joining was not observed are not counted. Two queries.

    By pool: the one that a node was in when it became good, or is in while it waits; of several the first by name.
    """
    key = BY[by]
    timed = (
        _nodes(cluster, Q(period__contains=OuterRef("gpu_ready_at")))
        .filter(gpu_ready_at__gte=since, gpu_ready_at__lt=until)
        .annotate(minutes=_MINUTES)
    )
    waiting = dict(
        _nodes(cluster, Q(period__endswith__isnull=True))
        .filter(bootstrapping=True, kubelet_ready_at__isnull=False, removed_at__isnull=True)
        .values_list(key)
        .annotate(n=Count("pk"))
        .order_by()
    )
    rows = timed.values(key).annotate(
        n=Count("pk"), median=_Percentile("minutes", share=0.5), p90=_Percentile("minutes", share=0.9)
    )
    results = [StartupMinutes(row[key], row["n"], row["median"], row["p90"], waiting.get(row[key], 0)) for row in rows.order_by()]
    return sorted(results, key=lambda item: (-item.median_min, item.name))


def node_minutes(node: Node) -> float | None:
    """Returns the time of one node; None if its joining was not observed, or it has not been good yet."""
    if node.kubelet_ready_at is None or node.gpu_ready_at is None:
        return None
    return (node.gpu_ready_at - node.kubelet_ready_at).total_seconds() / 60


def _nodes(cluster: str, then: Q) -> QuerySet[Node]:
    """Nodes with `in_pool`, of the memberships that are meant by `then`."""
    rows = Node.objects.filter(cluster__removed_at__isnull=True)
    memberships = PoolMembership.objects.filter(then, node=OuterRef("pk")).order_by("pool__slug")
    rows = rows.annotate(in_pool=Coalesce(Subquery(memberships.values("pool__slug")[:1]), Value("")))
    return rows.filter(cluster__name=cluster) if cluster else rows
