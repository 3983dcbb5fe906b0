"""State of notifications: waiting, failed and late deliveries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min

from fleet.models import Delivery, Notice, NotificationTarget


@dataclass(frozen=True, slots=True)
class NotificationState:
    notices_waiting: int
    ended: dict[tuple[str, str], int]
    """(target, state) to messages of the last hour; each current target has its zeros."""
    retrying: dict[str, int]
    """Target to messages that failed at least once and wait for another try."""
    overdue_s: float
    """Seconds that the oldest message has been due; 0 where none is."""


def state(now: datetime) -> NotificationState:
    """Four queries, whatever the number of messages."""
    waiting = Delivery.objects.filter(state=Delivery.State.WAITING).order_by()
    names = list(NotificationTarget.objects.values_list("name", flat=True))
    ends = (Delivery.State.SENT, Delivery.State.FAILED, Delivery.State.SUPPRESSED)
    ended = {(name, str(end)): 0 for name in names for end in ends}
    for target, how, count in (
        Delivery.objects.filter(ended_at__gte=now - timedelta(hours=1))
        .order_by()
        .values_list("target_name", "state")
        .annotate(n=Count("pk"))
    ):
        ended[target, how] = count
    retrying = dict.fromkeys(names, 0)
    oldest: datetime | None = None
    for target, tries, due, count in waiting.values_list("target_name", "tries").annotate(due=Min("due_at"), n=Count("pk")):
        if tries:
            retrying[target] = retrying.get(target, 0) + count
        oldest = min(oldest or due, due)
    overdue = (now - oldest).total_seconds() if oldest else 0.0
    return NotificationState(
        notices_waiting=Notice.objects.filter(matched_at__isnull=True).count(),
        ended=ended,
        retrying=retrying,
        overdue_s=max(0.0, overdue),
    )
