"""Decisions of operators: waivers, maintenance, declared counts; and unproven rungs of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Count, Max, Q, QuerySet

from fleet.domain.readiness.rungs import RUNGS
from fleet.models import Cluster, ExpectedGpus, Maintenance, Node, WaiverRow


def waivers(cluster: Cluster) -> QuerySet[WaiverRow]:
    """Waivers for the whole cluster, in the order of their rungs' names."""
    return WaiverRow.objects.filter(cluster=cluster, pool="").select_related("by").order_by("rung")


def pool_waivers(slug: str) -> QuerySet[WaiverRow]:
    """Waivers for the nodes of a pool, in the order of their rungs' names."""
    return WaiverRow.objects.filter(pool=slug).exclude(pool="").select_related("by").order_by("rung")


def waivable_in_pool(slug: str) -> list[tuple[str, str]]:
    """(id, title) of every rung that is not waived for the pool."""
    signed = set(pool_waivers(slug).values_list("rung", flat=True))
    return [(rung.id, rung.title) for rung in RUNGS if rung.id not in signed]


def maintenance_of(node: Node, now: datetime) -> Maintenance | None:
    """The maintenance that the node is in now."""
    rows = Maintenance.objects.filter(cluster_id=node.cluster_id, node_name=node.name).select_related("by")
    return rows.filter(Q(until__isnull=True) | Q(until__gt=now)).first()


def expected_of(node: Node) -> ExpectedGpus | None:
    """The declared count of this node."""
    rows = ExpectedGpus.objects.filter(cluster_id=node.cluster_id, node_name=node.name, machine_type="", product="")
    return rows.select_related("by").first()


@dataclass(frozen=True, slots=True)
class NodeDecisions:
    """Decisions of operators about one node."""

    maintenance: Maintenance | None
    declared: ExpectedGpus | None


def of_node(node: Node, now: datetime) -> NodeDecisions:
    """Returns the maintenance of the node and its declared number of GPUs. Two queries."""
    return NodeDecisions(maintenance_of(node, now), expected_of(node))


def version(cluster: Cluster, node_name: str = "") -> str:
    """A short text that changes whenever a decision about the cluster, or the node, does."""
    result: tuple[object, ...] = ()
    if node_name:
        for model in (Maintenance, ExpectedGpus):
            rows = model._default_manager.filter(cluster=cluster, node_name=node_name)
            result += tuple(rows.aggregate(n=Count("pk"), at=Max("at")).values())
    else:
        result += tuple(waivers(cluster).order_by().aggregate(n=Count("pk"), at=Max("at")).values())
    return "-".join(str(item) for item in result)


@dataclass(frozen=True, slots=True)
class Unproved:
    """One rung without evidence on some nodes of a cluster, or waived there."""

    id: str
    number: int
    title: str
    not_enabled: int
    """Nodes without any source of evidence for it."""
    unknown: int
    """Nodes without evidence for it now."""
    reason: str
    remedy: str
    """What to enable; lines are steps. Shown once, for the cluster."""
    waiver: WaiverRow | None


_COUNTS = """
    SELECT rung->>'id', coalesce(rung->>'own_status', rung->>'status'), count(*), max(rung->>'reason'), max(rung->>'remedy')
    FROM fleet_node, jsonb_array_elements(rungs) AS rung
    WHERE cluster_id = %s AND removed_at IS NULL
    GROUP BY 1, 2
"""


def unproved(cluster: Cluster) -> list[Unproved]:
    """The rungs that need a component to be enabled, or a waiver, in order. Two queries."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, [cluster.pk])
        fields = {(rung, status): (nodes, reason, remedy) for rung, status, nodes, reason, remedy in cursor.fetchall()}
    signed = {row.rung: row for row in waivers(cluster)}
    rows = []
    for rung in RUNGS:
        off, _reason, _remedy = fields.get((rung.id, "not_enabled"), (0, "", ""))
        open_, reason, remedy = fields.get((rung.id, "unknown"), (0, "", ""))
        if off or rung.id in signed:
            rows.append(
                Unproved(
                    id=rung.id,
                    number=rung.number,
                    title=rung.title,
                    not_enabled=off,
                    unknown=open_,
                    reason=_reason or reason or "",
                    remedy=_remedy or remedy or "",
                    waiver=signed.get(rung.id),
                )
            )
    return rows


def waivable(cluster: Cluster) -> list[tuple[str, str]]:
    """(id, title) of every rung that is not waived in the cluster."""
    signed = set(waivers(cluster).values_list("rung", flat=True))
    return [(rung.id, rung.title) for rung in RUNGS if rung.id not in signed]
