"""Which node is in which pool, as periods: when a node or a pool changes, memberships end and begin at that moment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from fleet.domain.pools.selection import selects
from fleet.models import Cluster, Node, PoolMembership
from fleet.selectors import declarations
from fleet.selectors.placement.placement import placement_nodes, present
from fleet.services import periods


def assign_all(at: datetime) -> int:
    """Assigns every current node of every cluster to pools, after a pool changed. Returns how many memberships changed."""
    with transaction.atomic():
        # The lock that a run takes, too: one of the two waits.
        for cluster in Cluster.objects.select_for_update().filter(removed_at__isnull=True).order_by("pk"):
            at = max(at, cluster.taken_at or at)
        return _assign(present(), at)


def assign(node_ids: Sequence[int], at: datetime) -> int:
    """Assigns nodes that a run has just written, within its transaction; the others stay in their pools."""
    return _assign(Node.objects.filter(pk__in=node_ids), at) if node_ids else 0


def close(node_ids: Iterable[int], at: datetime) -> None:
    """Nodes that are gone are in no pool any more."""
    periods.close_all(PoolMembership.objects.filter(node__in=list(node_ids)), at)


def _assign(rows: QuerySet[Node], at: datetime) -> int:
    specs = [(row.pk, declarations.pool_of(row)) for row in declarations.pools().values()]
    open_ones = periods.current(PoolMembership, node__in=rows.order_by())
    now_in = {(node_id, pool_id): pk for pk, node_id, pool_id in open_ones.values_list("pk", "node_id", "pool_id")}
    wanted: set[tuple[int, int]] = set()
    if specs:
        pk_of = {(cluster, name): pk for pk, cluster, name in rows.values_list("pk", "cluster__name", "name")}
        for node in placement_nodes(at, rows):
            wanted |= {(pk_of[node.key], pool_id) for pool_id, spec in specs if selects(spec.selector, node)}
    ended = [pk for pair, pk in now_in.items() if pair not in wanted]
    begun = sorted(wanted - set(now_in))
    periods.close(PoolMembership, ended, at)
    periods.open_new([PoolMembership(node_id=node_id, pool_id=pool_id) for node_id, pool_id in begun], at)
    return len(ended) + len(begun)
