"""Turns the verdicts of unreachable clusters unknown in time, also when no run ends."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import F

from fleet.domain.history.staleness import sentence
from fleet.models import Cluster, VerdictPeriod
from fleet.services.locks import collection_lock
from fleet.services.recording import run_events, staleness


def sweep(now: datetime) -> list[str]:
    """Returns the names of the clusters whose nodes turned unknown just now.

    Clusters that are no longer configured are included: the state of their nodes is unknown, too.
    """
    return [cluster.name for cluster in _silent(now) if _turn(cluster, now)]


def _silent(now: datetime) -> list[Cluster]:
    """Clusters with nodes that become unknown."""
    rows = []
    for row in Cluster.objects.filter(read_at__lte=now - settings.STALE_AFTER):
        standing = VerdictPeriod.objects.filter(node__cluster=row, node__removed_at__isnull=True, period__endswith__isnull=True)
        if row.read_at and standing.exclude(reason=sentence(row.read_at, settings.STALE_AFTER)).exists():
            rows.append(row)
    return rows


def _turn(cluster: Cluster, now: datetime) -> bool:
    with collection_lock(cluster.pk) as got:
        if not got:
            return False  # a run is in progress: it will record the same, at the same moment
        with transaction.atomic():
            row = Cluster.objects.select_for_update().only("taken_at", "read_at", "name").get(pk=cluster.pk)
            turns = staleness.turn(row, now, read_now=False)
            if turns is None:
                return False
            run_events.record(row, turns)
            # A run that began before that moment must not be recorded after it; and the pages changed.
            newest = max(row.taken_at or turns, turns)
            Cluster.objects.filter(pk=row.pk).update(taken_at=newest, changes=F("changes") + 1)
    return True
