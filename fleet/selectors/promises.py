"""What pools and classes are judged by: their members, who squats there, for how much of the last 30 days they were ready."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db import connection

from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.pools.keeping import Broken, Seen, broken_conditions
from fleet.models import Pod, PoolMembership, VerdictPeriod
from fleet.selectors import headroom as rooms

PROMISE_WINDOW = timedelta(days=30)
Key = tuple[str, str]


def seen_pools(here: rooms.Stock, now: datetime) -> dict[str, Seen]:
    """Slug to the pool with everything its promise is judged by. Two queries beside the stock's."""
    squatting = squatters()
    percents = ready_percents(now - PROMISE_WINDOW, now)
    members: dict[str, list[PlacementNode]] = defaultdict(list)
    for node in here.fleet.nodes:
        for slug in node.pools:
            members[slug].append(node)
    return {
        pool.slug: Seen(
            pool=pool,
            members=tuple(members[pool.slug]),
            squatters=squatting,
            ready_percent=percents.get(pool.slug),
            today=now.date(),
        )
        for pool in here.pools
    }


def pool_conditions(slug: str, now: datetime) -> tuple[tuple[Broken, ...], Mapping[Key, Sequence[str]], float | None]:
    """(broken conditions with the nodes they are about, squatters by node, percent ready over 30 days) of one pool, as of now."""
    seen = seen_pools(rooms.stock(now), now).get(slug)
    if seen is None:
        return (), {}, None
    here = {node.key: seen.squatters[node.key] for node in seen.members if seen.squatters.get(node.key)}
    return broken_conditions(seen), here, seen.ready_percent


def squatters() -> dict[tuple[str, str], list[str]]:
    """Pods on GPU nodes that ask for no GPU and belong to no DaemonSet or GPU stack: by cluster and node, as namespace/name."""
    rows = (
        Pod.objects.filter(removed_at__isnull=True, node__removed_at__isnull=True, component="", slots=0, phase="Running")
        .exclude(snapshot__owner_kind__in=("DaemonSet", "Node"))
        .order_by("namespace", "name")
        .values_list("cluster__name", "node__name", "namespace", "name")
    )
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for cluster, node, namespace, name in rows:
        found[cluster, node].append(f"{namespace}/{name}")
    return found


def ready_percents(since: datetime, until: datetime) -> dict[str, float]:
    """Slug to percent of its members' known time ready or degraded, for the time they were members. A pool without any
    known time is left out. One query; unknown and excluded time is in neither side of the ratio."""
    good, known = ("ready", "degraded"), ("ready", "degraded", "not_ready", "starting")
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT pool.slug,
                   sum(CASE WHEN verdict.verdict = ANY(%(good)s) THEN seconds ELSE 0 END) * 100.0 / sum(seconds)
            FROM {PoolMembership._meta.db_table} AS member
            JOIN fleet_pool AS pool ON pool.id = member.pool_id AND pool.removed_at IS NULL
            JOIN {VerdictPeriod._meta.db_table} AS verdict
                ON verdict.node_id = member.node_id AND verdict.period && member.period
            CROSS JOIN LATERAL (
                SELECT verdict.period * member.period * tstzrange(%(since)s, %(until)s) AS both
            ) AS shared
            CROSS JOIN LATERAL (
                SELECT extract(epoch FROM upper(shared.both) - lower(shared.both)) AS seconds
            ) AS length
            WHERE verdict.verdict = ANY(%(known)s) AND NOT isempty(shared.both)
              AND member.period && tstzrange(%(since)s, %(until)s) AND verdict.period && tstzrange(%(since)s, %(until)s)
            GROUP BY pool.slug
            HAVING sum(seconds) > 0
            """,  # noqa: S608 tables' own names
            {"good": list(good), "known": list(known), "since": since, "until": until},
        )
        return {slug: float(percent) for slug, percent in cursor.fetchall()}
