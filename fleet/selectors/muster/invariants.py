"""Invariants of the database: one function for tests, `manage.py check_data` and the nightly task."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.conf import settings
from django.db import connection

from fleet.domain.evaluation.figures import lasting
from fleet.domain.findings import Status
from fleet.domain.history.staleness import is_silence
from fleet.models import (
    Cluster,
    CollectionRun,
    FindingRow,
    Node,
    NodeDay,
    NodeResource,
    NodeRevision,
    Pod,
    RungPeriod,
    VerdictPeriod,
)
from fleet.models.statements import statement
from fleet.selectors import declarations
from fleet.selectors.figures import figures_now

_AHEAD = timedelta(seconds=30)
_STUCK = timedelta(minutes=10)
_HOLDS = (Status.PASS.value, Status.NOT_APPLICABLE.value)


def breaches(now: datetime) -> Iterator[str]:
    """Yields one sentence for each breach. A constant number of queries; call it in one repeatable read, or runs interfere."""
    yield from _overlaps()
    yield from _gaps()
    yield from _current_periods()
    yield from _rows_and_periods()
    yield from _ready_without_rungs()
    yield from _slots()
    yield from _moments(now)


def _rows(text: str, parameters: dict[str, Any] | None = None, **parts: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement(text, nodes=Node, clusters=Cluster, **parts), parameters or {})
        return cursor.fetchall()


_SUBJECTS = (
    (VerdictPeriod, "verdict", "node_id"),
    (RungPeriod, "rung", "node_id, rung"),
    (NodeRevision, "revision", "node_id"),
    (FindingRow, "finding", "cluster_id, node_id, rule, key"),
)


def _overlaps() -> Iterator[str]:
    """No two periods of one subject overlap."""
    for model, name, subject in _SUBJECTS:
        for pk, at in _rows(_OVERLAPS, table=model, subject=subject):
            yield f"{name} period {pk} begins at {at:%Y-%m-%d %H:%M:%S} UTC, before the one before it ended"


_OVERLAPS = """
    SELECT id, lower(period) FROM (
        SELECT id, period,
            lag(coalesce(upper(period), 'infinity')) OVER (PARTITION BY {subject} ORDER BY lower(period), id) AS ended
        FROM {table}
    ) AS periods WHERE ended > lower(period) ORDER BY id LIMIT 1000
"""


def _gaps() -> Iterator[str]:
    """Verdicts and rungs follow each other without a gap while the node existed, by its revisions."""
    for model, name, subject in _SUBJECTS[:2]:
        for cluster, node, began, ended in _rows(_GAPS, table=model, revisions=NodeRevision, subject=subject):
            yield f"node {cluster}/{node} has no {name} from {began:%Y-%m-%d %H:%M:%S} to {ended:%Y-%m-%d %H:%M:%S} UTC"


_GAPS = """
    SELECT cluster.name, node.name, gap.ended, gap.began FROM (
        SELECT node_id, lower(period) AS began, lag(upper(period)) OVER (PARTITION BY {subject} ORDER BY lower(period)) AS ended
        FROM {table}
    ) AS gap JOIN {nodes} AS node ON node.id = gap.node_id JOIN {clusters} AS cluster ON cluster.id = node.cluster_id
    WHERE gap.ended < gap.began AND EXISTS (
        SELECT 1 FROM {revisions} AS revision
        WHERE revision.node_id = gap.node_id AND revision.period && tstzrange(gap.ended, gap.began)
    ) ORDER BY 1, 2, 3 LIMIT 1000
"""


def _current_periods() -> Iterator[str]:
    """A current node has one current verdict and revision; a removed one has none, nor a rung or an open finding."""
    for model, name, _ in _SUBJECTS:
        is_single = model in (VerdictPeriod, NodeRevision)
        for cluster, node, count, removed in _rows(_CURRENT, {"single": is_single}, table=model):
            yield f"node {cluster}/{node} has {count} current {name} periods{' and was removed' if removed else ''}"


_CURRENT = """
    SELECT cluster.name, node.name, count(period.id), node.removed_at IS NOT NULL FROM {nodes} AS node
    JOIN {clusters} AS cluster ON cluster.id = node.cluster_id
    LEFT JOIN {table} AS period ON period.node_id = node.id AND upper(period.period) IS NULL
    GROUP BY 1, 2, node.id
    HAVING (node.removed_at IS NOT NULL AND count(period.id) > 0)
        OR (node.removed_at IS NULL AND %(single)s AND count(period.id) <> 1)
    ORDER BY 1, 2 LIMIT 1000
"""


def _rows_and_periods() -> Iterator[str]:
    """Verdict, figures and rungs of a node's row are those of its current periods."""
    present = Node.objects.filter(removed_at__isnull=True)
    names = {pk: f"{cluster}/{name}" for pk, cluster, name in present.values_list("pk", "cluster__name", "name")}
    verdicts = {row.node_id: row for row in VerdictPeriod.objects.filter(period__endswith__isnull=True, node__in=present)}
    for pk, figures in figures_now(present).items():
        period = verdicts.get(pk)
        if period is None:
            continue
        row = msgspec.json.decode(msgspec.json.encode(lasting(figures)))
        kept = period.figures or {}
        names_compared = ("verdict", "broken_rung", "usable") if is_silence(period.reason) else tuple(kept)
        for name in names_compared:
            if kept.get(name, row.get(name)) != row.get(name):
                yield f"node {names[pk]}: {name} is {row.get(name)!r} in its row and {kept[name]!r} in its current period"
    statuses: dict[int, dict[str, str]] = {}
    for pk, rung, status in RungPeriod.objects.filter(period__endswith__isnull=True, node__in=present).values_list(
        "node_id", "rung", "status"
    ):
        statuses.setdefault(pk, {})[rung] = status
    for pk, rungs in present.values_list("pk", "rungs"):
        if pk in verdicts and is_silence(verdicts[pk].reason):
            continue
        for rung in rungs:
            current = statuses.get(pk, {}).get(rung["id"])
            if current != rung["status"]:
                yield f"node {names[pk]}: rung {rung['id']} is {rung['status']} in its row and {current} in its current period"


def _ready_without_rungs() -> Iterator[str]:
    """No node is ready without evidence for every rung that some policy requires, or a waiver."""
    required = min([settings.REQUIRED_RUNG, *(spec.policy.required_rung for spec in declarations.pool_specs())])
    ready = Node.objects.filter(removed_at__isnull=True, verdict="ready")
    for cluster, name, rungs in ready.values_list("cluster__name", "name", "rungs"):
        for rung in rungs:
            if rung["number"] <= required and rung["status"] not in _HOLDS and not rung.get("waiver"):
                yield f"node {cluster}/{name} is ready although rung {rung['id']} is {rung['status']}"
        if len({rung["number"] for rung in rungs if rung["number"] <= required}) <= required:
            yield f"node {cluster}/{name} is ready although not every rung was evaluated"


def _slots() -> Iterator[str]:
    """Requested slots are those that the node's pods hold, and free ones are the rest. Not of DRA, where claims hold devices."""
    for cluster, node, resource, requested, held in _rows(_HELD, resources=NodeResource, pods=Pod):
        yield f"node {cluster}/{node}: {requested} slots of {resource} are requested and its pods hold {held}"
    for cluster, node, resource, free in _rows(_FREE, resources=NodeResource):
        yield f"node {cluster}/{node}: free slots of {resource} are {free}, not allocatable − requested"


_HELD = """
    SELECT cluster.name, node.name, resource.name, resource.requested, coalesce(held.slots, 0) FROM {resources} AS resource
    JOIN {nodes} AS node ON node.id = resource.node_id JOIN {clusters} AS cluster ON cluster.id = node.cluster_id
    LEFT JOIN (
        SELECT pod.node_id, entry.key, sum(entry.value::numeric) AS slots
        FROM {pods} AS pod, jsonb_each_text(pod.requests) AS entry
        WHERE pod.removed_at IS NULL AND pod.holds GROUP BY 1, 2
    ) AS held ON held.node_id = node.id AND held.key = resource.name
    WHERE node.removed_at IS NULL AND resource.kind NOT LIKE 'dra%%' AND resource.requested <> coalesce(held.slots, 0)
    ORDER BY 1, 2, 3 LIMIT 1000
"""
_FREE = """
    SELECT cluster.name, node.name, resource.name, resource.free FROM {resources} AS resource
    JOIN {nodes} AS node ON node.id = resource.node_id JOIN {clusters} AS cluster ON cluster.id = node.cluster_id
    WHERE node.removed_at IS NULL AND resource.kind NOT LIKE 'dra%%'
        AND resource.free <> resource.allocatable - resource.requested
    ORDER BY 1, 2, 3 LIMIT 1000
"""


def _moments(now: datetime) -> Iterator[str]:
    """Nothing begins in the future, no day has more than 24 hours, and no run lasts forever."""
    for model, name, _ in _SUBJECTS:
        if count := model._default_manager.filter(period__startswith__gt=now + _AHEAD).count():
            yield f"{count:,} {name} periods begin in the future"
    for cluster, node, day, seconds in _rows(_DAYS, days=NodeDay):
        yield f"node {cluster}/{node}: the verdicts of {day} add up to {seconds:,} s"
    for run in CollectionRun.objects.filter(outcome="running", started_at__lt=now - _STUCK).select_related("cluster")[:1000]:
        yield f"run {run.pk} of cluster {run.cluster.name} has been running since {run.started_at:%Y-%m-%d %H:%M:%S} UTC"


_DAYS = """
    SELECT cluster.name, node.name, day.day,
        day.ready_s + day.degraded_s + day.not_ready_s + day.starting_s + day.unknown_s + day.excluded_s
    FROM {days} AS day JOIN {nodes} AS node ON node.id = day.node_id JOIN {clusters} AS cluster ON cluster.id = node.cluster_id
    WHERE day.ready_s + day.degraded_s + day.not_ready_s + day.starting_s + day.unknown_s + day.excluded_s > 86400
    ORDER BY 1, 2, 3 LIMIT 1000
"""
