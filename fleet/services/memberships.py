"""Which node is in which pool, as periods: when a node or a pool changes, memberships end and begin at that moment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import connection, transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.db.models import QuerySet

from fleet.domain.pools.selectors import selects
from fleet.models import Cluster, Node, PoolMembership
from fleet.selectors import declarations
from fleet.selectors.placement import placement_nodes, present


def assign_all(at: datetime) -> int:
    """Every present node of every cluster; after a pool was saved or removed. Returns how many memberships changed."""
    with transaction.atomic():
        # As a pass does: whoever records this cluster now waits, or is waited for.
        for cluster in Cluster.objects.select_for_update().filter(removed_at__isnull=True).order_by("pk"):
            at = max(at, cluster.taken_at or at)
        return _assign(present(), at)


def assign(node_ids: Sequence[int], at: datetime) -> int:
    """Nodes that a pass has just written, within its transaction; the others are in the pools they were in."""
    return _assign(Node.objects.filter(pk__in=node_ids), at) if node_ids else 0


def close(node_ids: Iterable[int], at: datetime) -> None:
    """Nodes that are gone are in no pool any more."""
    open_ones = PoolMembership.objects.filter(node_id__in=list(node_ids), period__endswith__isnull=True)
    _end(list(open_ones.values_list("pk", flat=True)), at)


def _assign(rows: QuerySet[Node], at: datetime) -> int:
    specs = [(row.pk, declarations.pool_of(row)) for row in declarations.pools().values()]
    open_ones = PoolMembership.objects.filter(node__in=rows.order_by(), period__endswith__isnull=True)
    now_in = {(node_id, pool_id): pk for pk, node_id, pool_id in open_ones.values_list("pk", "node_id", "pool_id")}
    wanted: set[tuple[int, int]] = set()
    if specs:
        pk_of = {(cluster, name): pk for pk, cluster, name in rows.values_list("pk", "cluster__name", "name")}
        for node in placement_nodes(at, rows):
            wanted |= {(pk_of[node.key], pool_id) for pool_id, spec in specs if selects(spec.selector, node)}
    ended = [pk for pair, pk in now_in.items() if pair not in wanted]
    begun = sorted(wanted - set(now_in))
    _end(ended, at)
    PoolMembership.objects.bulk_create(
        [PoolMembership(node_id=node_id, pool_id=pool_id, period=DateTimeTZRange(at, None)) for node_id, pool_id in begun],
        batch_size=1_000,
    )
    return len(ended) + len(begun)


def _end(pks: list[int], at: datetime) -> None:
    """Closes periods at `at`; one that began at that very moment never was."""
    if not pks:
        return
    table = PoolMembership._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table} WHERE id = ANY(%s) AND lower(period) >= %s", [pks, at])  # noqa: S608
        cursor.execute(
            f"UPDATE {table} SET period = tstzrange(lower(period), %s) WHERE id = ANY(%s)",  # noqa: S608 a table's own name
            [at, pks],
        )
