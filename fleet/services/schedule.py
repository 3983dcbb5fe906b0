"""The rhythm: which clusters are due, asked of Postgres, so that two beats or ten do no harm."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from fleet.models import Cluster


@transaction.atomic
def take_due(now: datetime) -> list[int]:
    """Ids of the clusters to enqueue now, each marked as queued and given its next turn.

    A cluster whose pass still waits in the queue is not taken again, until that message has expired.
    """
    due = list(
        Cluster.objects.select_for_update(skip_locked=True)
        .filter(removed_at__isnull=True)
        .filter(Q(next_due_at__isnull=True) | Q(next_due_at__lte=now))
        .filter(Q(queued_at__isnull=True) | Q(queued_at__lte=now - settings.COLLECT_INTERVAL))
        .values_list("id", flat=True)
    )
    Cluster.objects.filter(id__in=due).update(
        next_due_at=now + settings.COLLECT_INTERVAL,
        next_telemetry_at=now + settings.TELEMETRY_INTERVAL,  # a whole pass reads telemetry, too
        queued_at=now,
    )
    return due


@transaction.atomic
def take_due_telemetry(now: datetime) -> list[int]:
    """Ids of the clusters whose telemetry is to be read between two whole passes, each given its next turn.

    Only clusters whose pods are known, and not while a whole pass waits. A turn is enqueued once an interval and its message
    lives for one: more than one cannot wait.
    """
    due = list(
        Cluster.objects.select_for_update(skip_locked=True)
        .filter(removed_at__isnull=True, section_read_at__has_key="pods", queued_at__isnull=True)
        .filter(Q(next_telemetry_at__isnull=True) | Q(next_telemetry_at__lte=now))
        .values_list("id", flat=True)
    )
    Cluster.objects.filter(id__in=due).update(next_telemetry_at=now + settings.TELEMETRY_INTERVAL)
    return due


def take_now(cluster_name: str, now: datetime) -> int | None:
    """The id of a cluster whose pass somebody asked for, marked as queued; None where one already waits."""
    taken = (
        Cluster.objects.filter(name=cluster_name, removed_at__isnull=True)
        .filter(Q(queued_at__isnull=True) | Q(queued_at__lte=now - settings.COLLECT_INTERVAL))
        .update(
            queued_at=now,
            next_due_at=now + settings.COLLECT_INTERVAL,
            next_telemetry_at=now + settings.TELEMETRY_INTERVAL,
        )
    )
    return Cluster.objects.values_list("id", flat=True).get(name=cluster_name) if taken else None


def start_turn(cluster_id: int) -> None:
    """The pass has left the queue: from now on another may be enqueued."""
    Cluster.objects.filter(id=cluster_id, queued_at__isnull=False).update(queued_at=None)
