"""Several contexts of one cluster: it is collected once, under one name, and the other contexts are named beside it.

What shows that two contexts lead to one cluster, in this order: the same address and certificate authority (known before
anything is read), the UID of the namespace kube-system, and where a context may not read that, the UID of a node.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from msgspec.structs import replace

from fleet.collectors.connections import Connection
from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.snapshot.sections import Outcome
from fleet.models import Cluster, Node, SameBy
from fleet.services.locks import lock_identities

log = logging.getLogger(__name__)

_NODE_SAMPLE = 50
_TOGETHER = timedelta(hours=1)
"""Two contexts first read within this time are new together: the first one of the configuration keeps the cluster."""
_UNREAD = 100
_DOWN = 99
_FORGOTTEN_S = 3600
"""A context that was refused everything, or did not answer, is tried again after this time: tokens are renewed."""
_ASKED_OF_PODS = frozenset({"telemetry", "model_servers"})
_ANSWERS = (Outcome.INCOMPLETE, Outcome.EXPIRED, Outcome.THROTTLED, Outcome.TOO_LARGE)
"""Outcomes of a list of nodes that is not complete although the server answers."""


def group_by_address(
    rows: Mapping[str, Cluster], configured: Mapping[str, Connection], moved: frozenset[int], now: datetime
) -> None:
    """Marks the configured contexts that share address and authority with another one, and frees those that no longer do.

    `moved` are the rows whose server is another one now.

    The row that was collected first keeps the cluster, so that its history goes on; of new ones the first in the configuration.
    Must run in the transaction that locked the rows.
    """
    for name in configured:
        row = rows[name]
        if row.same_as_id is not None and (row.same_as_id in moved or not _still_same(row, rows, configured)):
            _free(row, now)
    by_address: dict[tuple[str, str], list[Cluster]] = {}
    for name, connection in configured.items():
        by_address.setdefault(connection.address, []).append(rows[name])
    for group in by_address.values():
        # one that is the same as a cluster at another address stays with that one
        alone = [row for row in group if row.same_as_id is None]
        keeper = min(alone, key=lambda row: (row.first_read_at is None, row.first_read_at or now, row.pk), default=None)
        for row in alone:
            if keeper is not None and row is not keeper:
                mark(row, keeper, SameBy.ADDRESS, now)


def _still_same(row: Cluster, rows: Mapping[str, Cluster], configured: Mapping[str, Connection]) -> bool:
    """Returns whether what showed the two to be one still holds, as far as the configuration shows."""
    keeper = next((other for other in rows.values() if other.pk == row.same_as_id), None)
    if keeper is None or keeper.name not in configured or keeper.same_as_id is not None:
        return False
    return row.same_by != SameBy.ADDRESS or configured[row.name].address == configured[keeper.name].address


def _free(row: Cluster, now: datetime) -> None:
    row.same_as, row.same_by, row.removed_at, row.next_due_at = None, "", None, now
    row.save(update_fields=["same_as", "same_by", "removed_at", "next_due_at"])
    log.info("cluster %s is collected again under its own name", row.name)


def mark(row: Cluster, keeper: Cluster, by: SameBy, now: datetime) -> None:
    """Records that a context leads to a cluster that is collected under another name; its nodes leave every page and sum."""
    row.same_as, row.same_by, row.removed_at, row.queued_at = keeper, by, row.removed_at or now, None
    row.save(update_fields=["same_as", "same_by", "removed_at", "queued_at"])
    Cluster.objects.filter(same_as=row).update(same_as=keeper)
    Cluster.objects.filter(pk=keeper.pk).update(changes=F("changes") + 1)  # the pages show it
    log.warning("cluster %s is the same as %s (%s): collected once, as %s", row.name, keeper.name, by, keeper.name)


def settle(cluster: Cluster, collected: ClusterSnapshot) -> str:
    """Returns a sentence where this cluster is collected under another name, so that nothing of it is recorded; else "".

    Where this one is to keep the cluster, the other one is marked. Two queries; rows are locked only when something changes.
    """
    twin = _find(cluster, collected)
    changed = collected.uid and collected.uid != cluster.kube_system_uid
    if twin is None and not changed:
        return ""
    with transaction.atomic():
        lock_identities()  # two that find each other at once
        twin = _find(cluster, collected)
        changing = [cluster.pk, *([twin[0].pk] if twin else [])]
        list(Cluster.objects.select_for_update().filter(pk__in=changing).order_by("pk").values_list("pk"))
        if changed:
            if cluster.kube_system_uid:  # another cluster answers under this name: what was the same as the old one is not
                for row in cluster.other_contexts.exclude(same_by=SameBy.ADDRESS):
                    _free(row, timezone.now())
            cluster.kube_system_uid = collected.uid
            cluster.save(update_fields=["kube_system_uid"])
            twin = _find(cluster, collected)
        if twin is None:
            return ""
        other, by = twin
        if _keeps(cluster, other):
            mark(other, cluster, by, collected.taken_at)
            return ""
        mark(cluster, other, by, collected.taken_at)
    return f"This context leads to the same cluster as {other.name} ({by.label}), under whose name it is collected."


def _find(cluster: Cluster, collected: ClusterSnapshot) -> tuple[Cluster, SameBy] | None:
    """Returns another collected row of the same cluster and what shows it."""
    own_uid = collected.uid or cluster.kube_system_uid
    others = Cluster.objects.filter(removed_at__isnull=True).exclude(pk=cluster.pk).order_by("pk")
    if own_uid and (twin := others.filter(kube_system_uid=own_uid).first()):
        return twin, SameBy.UID
    uids = sorted(node.uid for node in collected.nodes if node.uid)[:_NODE_SAMPLE]
    if not uids:
        return None
    # where both read kube-system, that decides
    unsure = others if not own_uid else others.filter(kube_system_uid="")
    shared = Node.objects.filter(cluster__in=unsure, removed_at__isnull=True, uid__in=uids).order_by("cluster_id").first()
    return (others.get(pk=shared.cluster_id), SameBy.NODES) if shared is not None else None


def _keeps(cluster: Cluster, other: Cluster) -> bool:
    """Returns whether this row, not the other, keeps the cluster: the older history, among new ones the first registered."""
    now = timezone.now()
    own, others = cluster.first_read_at or now, other.first_read_at or now
    return cluster.pk < other.pk if abs(own - others) < _TOGETHER else own < others


def source_of(cluster: Cluster, contexts: Mapping[str, Connection]) -> Connection | None:
    """Returns the connection to collect a cluster through, named as the cluster; None where the configuration has none."""
    chosen = contexts.get(cluster.read_through) or contexts.get(cluster.name)
    return replace(chosen, name=cluster.name) if chosen is not None else None


def note_context(cluster: Cluster, collected: ClusterSnapshot, contexts: Mapping[str, Connection]) -> None:
    """Chooses the context for the next run: of those of one address, the one that was refused least.

    Each is tried once, and only where the one in use was refused something or lists no nodes. Where the one in use does not
    answer, the next at another address stands in (`_stand_ins`).
    """
    others = cluster.other_contexts.filter(same_by=SameBy.ADDRESS).order_by("pk").values_list("name", flat=True)
    names = [cluster.name, *(name for name in others if name in contexts)]
    stand_ins = _stand_ins(cluster, contexts)
    before = (cluster.read_through, cluster.context_tries)
    if len(names) == 1 and not stand_ins:
        cluster.read_through, cluster.context_tries = "", {}
    else:
        every = [*names, *stand_ins]
        current = cluster.read_through if cluster.read_through in every else cluster.name
        now = collected.taken_at.timestamp()
        tries = {
            name: (refused, at)
            for name, (refused, at) in cluster.context_tries.items()
            if name in every and (refused < _DOWN or now - at < _FORGOTTEN_S)
        }
        turn = every[every.index(current) :] + every[: every.index(current)]
        if (refused := _refused(collected)) is not None:
            tries[current] = (refused, now)
            if refused:  # the next in turn that was not tried, or else the one that was refused least
                usable = [name for name in turn if name in names or name == current]
                current = min(usable, key=lambda name: tries.get(name, (-1, 0))[0])
        elif _is_down(collected):
            tries[current] = (_DOWN, now)
            elsewhere = [name for name in turn if not _share_address(contexts, name, current)]
            current = elsewhere[0] if elsewhere else current
        cluster.read_through, cluster.context_tries = "" if current == cluster.name else current, tries
    if before != (cluster.read_through, cluster.context_tries):
        cluster.save(update_fields=["read_through", "context_tries"])


def _share_address(contexts: Mapping[str, Connection], name: str, another: str) -> bool:
    return name in contexts and another in contexts and contexts[name].address == contexts[another].address


def _stand_ins(cluster: Cluster, contexts: Mapping[str, Connection]) -> list[str]:
    """Returns the contexts of the cluster at other addresses whose server proves the same certificate authority.

    A UID can be repeated by any server that may read it; a certificate of the cluster's own authority cannot.
    """
    own = contexts.get(cluster.name)
    if own is None or not own.own_authority:
        return []
    others = cluster.other_contexts.exclude(same_by=SameBy.ADDRESS).order_by("pk").values_list("name", flat=True)
    return [name for name in others if name in contexts and contexts[name].own_authority == own.own_authority]


def refuse_other(cluster: Cluster, collected: ClusterSnapshot, contexts: Mapping[str, Connection]) -> str:
    """Returns a sentence where what a stand-in returned is of another cluster and must not be recorded; else "".

    One authority may sign for several clusters. The next run goes back to the cluster's own context.
    """
    name = cluster.read_through
    if not name or not (collected.uid or collected.nodes) or _share_address(contexts, name, cluster.name):
        return ""
    if collected.uid and cluster.kube_system_uid:
        is_same = collected.uid == cluster.kube_system_uid
    else:
        uids = [node.uid for node in collected.nodes if node.uid]
        is_same = Node.objects.filter(cluster=cluster, removed_at__isnull=True, uid__in=uids).exists()
    if is_same:
        return ""
    cluster.read_through = ""
    cluster.context_tries = {**cluster.context_tries, name: (_UNREAD, collected.taken_at.timestamp())}
    cluster.save(update_fields=["read_through", "context_tries"])
    return f"Context {name}, which stood in for {cluster.name}, leads to another cluster now. Nothing was recorded."


def _is_down(collected: ClusterSnapshot) -> bool:
    """Returns whether no list of nodes could be had, for another reason than rights or its size."""
    nodes = collected.section("nodes")
    return not nodes.complete and nodes.outcome not in _ANSWERS


def _refused(collected: ClusterSnapshot) -> int | None:
    """Returns the number of sections that this context was refused, 100 where that is all; None where no rights were at fault."""
    outcomes = [report.outcome for report in collected.sections.values()]
    # A pod can answer 401 as the API server does.
    by_server = [report.outcome for report in collected.sections.values() if report.name not in _ASKED_OF_PODS]
    if Outcome.UNAUTHORISED in by_server or collected.section("nodes").outcome is Outcome.FORBIDDEN:
        return _UNREAD
    return sum(outcome is Outcome.FORBIDDEN for outcome in outcomes) if collected.section("nodes").complete else None
