"""The figures of nodes, now or at a past moment: the one source of pages, API, CSV, metrics, filters and history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import msgspec
from django.db import connection
from django.db.models import Q, QuerySet

from fleet.domain.devices.slots import ResourceSlots, Slots
from fleet.domain.evaluation.figures import NodeFigures
from fleet.domain.evaluation.fleet_figures import FleetFigures, sum_nodes
from fleet.models import Cluster, Node, NodeResource, NodeRevision, VerdictPeriod
from fleet.models.statements import statement

_COLUMNS = {
    "vendor": "vendor",
    "product": "product",
    "family": "family",
    "gpu_memory_mib": "gpu_memory_mib",
    "driver_version": "driver_version",
    "cuda_version": "cuda_version",
    "machine_type": "machine_type",
    "zone": "zone",
    "physical": "physical",
    "physical_source": "physical_source",
    "expected": "expected",
    "expected_source": "expected_source",
    "advertised": "advertised_gpus",
    "usable": "usable",
    "verdict": "verdict",
    "broken_rung": "broken_rung",
    "reached": "reached",
    "flapping": "flapping",
    "state": "state",
    "schedulable": "schedulable",
    "kubelet_ready": "kubelet_ready",
    "mode": "mode",
    "isolation": "isolation",
    "partitioning": "partitioning",
    "sharing": "sharing",
    "replicas": "replicas",
    "mig_instances": "mig_instances",
}
"""Field of NodeFigures to column of Node."""
_SLOTS = ("slots_capacity", "slots_allocatable", "slots_requested", "slots_free")
_RESOURCE = ("name", "kind", "profile", "replicas", "capacity", "allocatable", "requested", "free", "predicted")


@dataclass(frozen=True, slots=True)
class Summary:
    """The fleet in figures, now or at a moment."""

    clusters: int
    figures: FleetFigures
    as_of: datetime | None
    """Time of the oldest collection among the clusters, or the past moment itself."""


def summary(nodes: QuerySet[Node]) -> Summary:
    """Returns the sums over the current ones of `nodes`. Three queries, whatever their number."""
    read = list(Cluster.objects.filter(removed_at__isnull=True).values_list("read_at", flat=True))
    oldest = min((at for at in read if at is not None), default=None)
    return Summary(len(read), sum_nodes(figures_now(nodes).values()), oldest)


def summary_at(nodes: QuerySet[Node], at: datetime) -> Summary:
    """Returns the sums at a moment over those of `nodes` (removed ones too) that existed then."""
    clusters = Cluster.objects.filter(removed_at__isnull=True)
    return Summary(clusters.count(), sum_nodes(figures_at(nodes, at).values()), at)


def figures_now(nodes: QuerySet[Node], *, with_resources: bool = True) -> dict[int, NodeFigures]:
    """Returns node id to figures, in the order of `nodes`. Two queries; one without resources."""
    rows = list(nodes.values_list("pk", *_COLUMNS.values(), *_SLOTS))
    resources = resources_of(nodes) if with_resources else {}
    split = 1 + len(_COLUMNS)
    return {
        row[0]: NodeFigures(
            **dict(zip(_COLUMNS, row[1:split], strict=True)),
            slots=Slots(**dict(zip(("capacity", "allocatable", "requested", "free"), row[split:], strict=True))),
            resources=tuple(resources.get(row[0], ())),
        )
        for row in rows
    }


def figures_of(node: Node) -> NodeFigures:
    """Returns the figures of one row, with its resources (prefetched, or one query)."""
    resources = tuple(
        ResourceSlots(**{name: getattr(row, name) for name in _RESOURCE})
        for row in sorted(node.resources.all(), key=lambda row: row.name)
    )
    slots = Slots(
        capacity=node.slots_capacity,
        allocatable=node.slots_allocatable,
        requested=node.slots_requested,
        free=node.slots_free,
    )
    fields = {field: getattr(node, column) for field, column in _COLUMNS.items()}
    return NodeFigures(**fields, slots=slots, resources=resources)


def figures_at(nodes: QuerySet[Node], at: datetime) -> dict[int, NodeFigures]:
    """Returns node id to figures as of `at`, for those of `nodes` (removed ones too) that existed then.

    They are read, never computed again: a node that has not changed since is its row; of one that has, the period of its verdict
    keeps the figures, without requested and free slots. What was not kept is None or empty.
    """
    present = nodes.filter(first_seen_at__lte=at).filter(Q(removed_at__isnull=True) | Q(removed_at__gt=at))
    unchanged = present.filter(changed_at__lte=at, removed_at__isnull=True)
    result = figures_now(unchanged)
    others = list(present.exclude(pk__in=list(result)).order_by("pk").values_list("pk", flat=True))
    kept = _kept(others, at)
    return result | {pk: kept[pk] for pk in others if pk in kept}


NOT_KEPT = NodeFigures(are_kept=False, requests_kept=False)
"""A node that existed while nothing was recorded of it."""


def _kept(ids: Collection[int], at: datetime) -> dict[int, NodeFigures]:
    """One probe of an index for each node.

    A node that existed without a verdict is NOT_KEPT; one that was removed at `at`, and has come back since, is left out.
    """
    if not ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_PERIODS_AT, {"nodes": list(ids), "at": at})
        return {
            pk: NOT_KEPT
            if verdict is None
            else msgspec.json.decode(figures, type=NodeFigures)
            if figures is not None
            else _bare(verdict, rung, usable, expected)
            for pk, verdict, rung, usable, expected, figures in cursor.fetchall()
        }


def _bare(verdict: str, rung: str, usable: int | None, expected: int | None) -> NodeFigures:
    return msgspec.structs.replace(NOT_KEPT, verdict=verdict, broken_rung=rung, usable=usable, expected=expected)


def resources_of(nodes: QuerySet[Node]) -> dict[int, list[ResourceSlots]]:
    """Returns node id to its resources, by name; one query for all nodes."""
    resources: dict[int, list[ResourceSlots]] = defaultdict(list)
    rows = NodeResource.objects.filter(node__in=nodes.order_by()).order_by("name").values_list("node_id", *_RESOURCE)
    for node_id, *values in rows:
        resources[node_id].append(ResourceSlots(**dict(zip(_RESOURCE, values, strict=True))))
    return resources


T = TypeVar("T")


def grouped(figures: dict[int, NodeFigures], keys: dict[int, T]) -> dict[T, FleetFigures]:
    """Returns the sums of each group; `keys`: node id to its group. Nodes without a key are in none."""
    groups: dict[T, list[NodeFigures]] = defaultdict(list)
    for pk, row in figures.items():
        if pk in keys:
            groups[keys[pk]].append(row)
    return {key: sum_nodes(rows) for key, rows in groups.items()}


_PERIODS_AT = statement(
    """
    SELECT node.id, verdict.verdict, verdict.broken_rung, verdict.usable, verdict.expected, verdict.figures
    FROM {nodes} AS node
    CROSS JOIN LATERAL (
        SELECT period FROM {revisions} WHERE node_id = node.id AND lower(period) <= %(at)s
        ORDER BY lower(period) DESC LIMIT 1
    ) AS revision
    LEFT JOIN LATERAL (
        SELECT newest.* FROM (
            SELECT verdict, broken_rung, usable, expected, figures, period FROM {verdicts}
            WHERE node_id = node.id AND lower(period) <= %(at)s ORDER BY lower(period) DESC LIMIT 1
        ) AS newest WHERE upper(newest.period) > %(at)s OR upper(newest.period) IS NULL
    ) AS verdict ON true
    WHERE node.id = ANY(%(nodes)s) AND (upper(revision.period) > %(at)s OR upper(revision.period) IS NULL)
    """,
    nodes=Node,
    revisions=NodeRevision,
    verdicts=VerdictPeriod,
)
