"""Whether pools and classes keep what they promise, judged over the whole fleet; and how much room each class has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from fleet.domain.classes.keeping import class_state
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.pools.keeping import Broken, Seen, broken_conditions, state_of
from fleet.models import Pod, PoolMembership, PromisePeriod, VerdictPeriod, WorkloadClass
from fleet.selectors import declarations
from fleet.selectors import headroom as rooms
from fleet.services.locks import promise_lock

PROMISE_WINDOW = timedelta(days=30)


def judge(now: datetime) -> bool:
    """Writes the state of every pool and class, with its reasons, and each class's room. False where another worker is at it."""
    with promise_lock() as got:
        if got:
            _judge(now)
        return got


def _judge(now: datetime) -> None:
    here = rooms.stock(now)
    squatters = _squatters()
    percents = ready_percents(now - PROMISE_WINDOW, now)
    members: dict[str, list[PlacementNode]] = defaultdict(list)
    for node in here.fleet.nodes:
        for slug in node.pools:
            members[slug].append(node)
    broken: dict[str, Sequence[Broken]] = {}
    for pool in here.pools:
        broken[pool.slug] = broken_conditions(
            Seen(
                pool=pool,
                members=tuple(members[pool.slug]),
                squatters=squatters,
                ready_percent=percents.get(pool.slug),
                today=now.date(),
            )
        )
    states = {("pool", slug): (state_of(found), found) for slug, found in broken.items()}
    classes: dict[str, dict[str, Any]] = {}
    for slug, version in declarations.newest_versions().items():
        promise = declarations.promise_of(version)
        asked = rooms.class_asks(promise, here)
        room = rooms.room(promise, here)
        found = class_state(promise, asked, here.fleet, room, broken)
        states["class", slug] = (found.state, found.reasons)
        classes[slug] = rooms.as_json(room, asked)
    with transaction.atomic():
        _record(states, now)
        for slug, told in classes.items():
            WorkloadClass.objects.filter(slug=slug).update(headroom=told, headroom_at=now)


def _record(states: Mapping[tuple[str, str], tuple[str, Sequence[Broken]]], now: datetime) -> None:
    """Periods of the states: a new one where the state changed, other reasons are written into the present one."""
    present = {(row.kind, row.slug): row for row in PromisePeriod.objects.filter(period__endswith__isnull=True)}
    for place, (state, reasons) in states.items():
        row, sentences = present.get(place), [one.text for one in reasons]
        if row is not None and row.state == state:
            if row.reasons != sentences:
                PromisePeriod.objects.filter(pk=row.pk).update(reasons=sentences)
            continue
        if row is not None:
            _end([row], now)
        PromisePeriod.objects.create(
            kind=place[0], slug=place[1], state=state, reasons=sentences, period=DateTimeTZRange(now, None)
        )
    _end([row for place, row in present.items() if place not in states], now)


def _end(rows: Sequence[PromisePeriod], at: datetime) -> None:
    for row in rows:
        if row.period.lower >= at:
            row.delete()
        else:
            PromisePeriod.objects.filter(pk=row.pk).update(period=DateTimeTZRange(row.period.lower, at))


def _squatters() -> dict[tuple[str, str], list[str]]:
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
