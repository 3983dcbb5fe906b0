"""Inputs of compliance: members of pools, pods without a GPU there, and the observed availability of the last 30 days."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db import connection

from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.pools.availability import WINDOW_S, Observed
from fleet.domain.pools.compliance import PoolSnapshot, Violation, find_violations
from fleet.models import Pod, Pool, PoolMembership, VerdictPeriod
from fleet.models.statements import statement
from fleet.selectors.placement import headroom as rooms

AVAILABILITY_WINDOW = timedelta(seconds=WINDOW_S)
Key = tuple[str, str]


def pool_snapshots(stock: rooms.Stock, now: datetime) -> dict[str, PoolSnapshot]:
    """Returns slug to the pool with everything its compliance depends on. Two queries beside the stock's."""
    pods = squatters()
    observed = observed_availability(now)
    members: dict[str, list[PlacementNode]] = defaultdict(list)
    for node in stock.fleet.nodes:
        for slug in node.pools:
            members[slug].append(node)
    return {
        pool.slug: PoolSnapshot(
            pool=pool,
            members=tuple(members[pool.slug]),
            squatters=pods,
            observed=observed.get(pool.slug),
            today=now.date(),
        )
        for pool in stock.pools
    }


def pool_violations(slug: str, now: datetime) -> tuple[tuple[Violation, ...], Mapping[Key, Sequence[str]]]:
    """Returns (violations with their nodes, pods without a GPU by node) of one pool, as of now."""
    snapshot = pool_snapshots(rooms.stock(now), now).get(slug)
    if snapshot is None:
        return (), {}
    pods = {node.key: snapshot.squatters[node.key] for node in snapshot.members if snapshot.squatters.get(node.key)}
    return find_violations(snapshot), pods


def squatters() -> dict[Key, list[str]]:
    """Returns (cluster, node) to pods that request no GPU and belong to no DaemonSet or GPU stack, as namespace/name."""
    rows = (
        Pod.objects.filter(removed_at__isnull=True, node__removed_at__isnull=True, component="", slots=0, phase="Running")
        .exclude(snapshot__owner_kind__in=("DaemonSet", "Node"))
        .order_by("namespace", "name")
        .values_list("cluster__name", "node__name", "namespace", "name")
    )
    pods: dict[Key, list[str]] = defaultdict(list)
    for cluster, node, namespace, name in rows:
        pods[cluster, node].append(f"{namespace}/{name}")
    return pods


def observed_availability(now: datetime) -> dict[str, Observed]:
    """Returns slug to the percent of its members' known node-time that was ready or degraded, and the seconds known.

    Both over the availability window. Node-time counts while a node is a member; unknown and excluded time is in
    neither side of the ratio; a pool without any known time is left out. One query.
    """
    good, known = ("ready", "degraded"), ("ready", "degraded", "not_ready", "starting")
    with connection.cursor() as cursor:
        cursor.execute(
            _OBSERVED,
            {"good": list(good), "known": list(known), "since": now - AVAILABILITY_WINDOW, "until": now},
        )
        return {slug: Observed(float(percent), round(seconds)) for slug, percent, seconds in cursor.fetchall()}


_OBSERVED = statement(
    """
    WITH stretch AS (
        SELECT pool.slug, verdict.verdict, verdict.period * member.period * tstzrange(%(since)s, %(until)s) AS shared
        FROM {members} AS member
        JOIN {pools} AS pool ON pool.id = member.pool_id AND pool.removed_at IS NULL
        JOIN {verdicts} AS verdict
            ON verdict.node_id = member.node_id AND verdict.period && member.period
        WHERE verdict.verdict = ANY(%(known)s)
          AND member.period && tstzrange(%(since)s, %(until)s) AND verdict.period && tstzrange(%(since)s, %(until)s)
    ), sums AS (
        SELECT slug, sum(seconds) FILTER (WHERE verdict = ANY(%(good)s)) AS good, sum(seconds) AS known,
               range_agg(shared) AS moments
        FROM stretch
        CROSS JOIN LATERAL (SELECT extract(epoch FROM upper(shared) - lower(shared)) AS seconds) AS length
        WHERE NOT isempty(shared)
        GROUP BY slug
    )
    SELECT slug, coalesce(good, 0) * 100.0 / known,
           (SELECT sum(extract(epoch FROM upper(moment) - lower(moment))) FROM unnest(moments) AS moment)
    FROM sums WHERE known > 0
    """,
    members=PoolMembership,
    pools=Pool,
    verdicts=VerdictPeriod,
)
