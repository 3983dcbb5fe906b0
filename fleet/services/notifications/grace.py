"""Decides after the grace which bad verdicts are notified: by the recorded periods, never by when this runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from fleet.domain.history import reportable
from fleet.domain.history.reportable import Stood
from fleet.models import Notice, VerdictPeriod
from fleet.models.joined import joined
from fleet.services.notifications import wording

_BEFORE = timedelta(days=1)
"""Periods that ended longer before an event than this cannot be part of its first minutes."""


@dataclass(frozen=True, slots=True)
class Unrecovered:
    """What was notified of a node that has not recovered since: from when, and its verdicts in order."""

    since: datetime
    verdicts: tuple[str, ...]


def settle(now: datetime) -> list[int]:
    """Returns the ids of bad verdicts that outlasted the grace, and deletes shorter ones from the outbox.

    The grace is over once a later run was recorded: until then a run in progress may still change the verdict. Without one,
    the cluster's verdicts turn unknown after STALE_AFTER. Nodes that are unknown because their cluster is unreachable are
    not notified: the cluster is.
    """
    waiting = joined(Notice.objects.filter(kind="verdict", recovery=False, matched_at__isnull=True), "cluster")
    due = [notice for notice in waiting if _is_decided(notice, now)]
    if not due:
        return []
    news = _news_of({notice.node_id for notice in due if notice.node_id}, min(notice.at for notice in due))
    gone, stays, silent = [], [], _Silences({notice.cluster_id for notice in due if notice.cluster_id})
    for notice in due:
        verdict = news.get(notice.node_id or 0, {}).get(notice.at)
        if verdict is None or (verdict == "unknown" and silent.at(notice.cluster_id, notice.at)):
            gone.append(notice.pk)
            continue
        if verdict != notice.detail.get("verdict"):
            _replace_text(notice, verdict)
        stays.append(notice.pk)
    Notice.objects.filter(pk__in=gone).delete()
    return stays


def unrecovered(node_ids: Collection[int], at: datetime) -> dict[int, Unrecovered]:
    """Returns what was or will be notified of these nodes before `at` and since they were last good, by node."""
    recent = Notice.objects.filter(kind="verdict", node_id__in=node_ids, at__lt=at).order_by("-at", "-id")
    since: dict[int, list[Notice]] = defaultdict(list)
    good: set[int] = set()
    for notice in recent:
        node_id = notice.node_id or 0
        if notice.recovery:
            good.add(node_id)
        elif node_id not in good:
            since[node_id].append(notice)
    pending = [entry for item in since.values() for entry in item if entry.matched_at is None]
    decided = _news_of({row.node_id or 0 for row in pending}, min(rows.at for rows in pending)) if pending else {}
    result: dict[int, Unrecovered] = {}
    for node_id, newest_first in since.items():
        known = [
            (value.at, verdict)
            for value in reversed(newest_first)
            if (verdict := value.detail["verdict"] if value.matched_at else decided.get(node_id, {}).get(value.at))
        ]
        if known:
            result[node_id] = Unrecovered(known[0][0], tuple(verdict for _, verdict in known))
    return result


class _Silences:
    """When clusters were unreachable, from their events."""

    def __init__(self, cluster_ids: Collection[int]) -> None:
        self._turns: dict[int | None, list[tuple[datetime, bool]]] = defaultdict(list)
        rows = Notice.objects.filter(kind="cluster", cluster_id__in=cluster_ids).order_by("at", "id")
        for cluster_id, at, recovery in rows.values_list("cluster_id", "at", "recovery"):
            self._turns[cluster_id].append((at, not recovery))

    def at(self, cluster_id: int | None, moment: datetime) -> bool:
        """Returns whether the cluster was unreachable then."""
        return next((silent for at, silent in reversed(self._turns[cluster_id]) if at <= moment), False)


def _is_decided(notice: Notice, now: datetime) -> bool:
    due = notice.at + settings.INCIDENT_GRACE
    if now < due:
        return False
    taken_at = notice.cluster.taken_at if notice.cluster else None
    return (taken_at is not None and taken_at >= due) or now >= due + settings.STALE_AFTER


def _news_of(node_ids: Collection[int], earliest: datetime) -> Mapping[int, Mapping[datetime, str]]:
    rows = (
        VerdictPeriod.objects.filter(node_id__in=node_ids)
        .filter(Q(period__startswith__gte=earliest - _BEFORE) | Q(period__endswith__isnull=True))
        .order_by("node_id", "period")
        .values_list("node_id", "verdict", "period")
    )
    periods: dict[int, list[Stood]] = defaultdict(list)
    for node_id, verdict, period in rows:
        periods[node_id].append(Stood(verdict, period.lower, period.upper))
    return {node_id: reportable.news(stood, settings.INCIDENT_GRACE) for node_id, stood in periods.items()}


def _replace_text(notice: Notice, verdict: str) -> None:
    """Replaces the event's text by that of the bad verdict at the end of the grace."""
    period = (
        VerdictPeriod.objects.filter(node=notice.node, verdict=verdict, period__startswith__gte=notice.at)
        .select_related("node", "node__cluster")
        .order_by("period")
        .first()
    )
    if period is not None:
        bad_verdict = wording.bad_verdict(period, notice.at)
        for field in _TEXT_FIELDS:
            setattr(notice, field, getattr(bad_verdict, field))
        notice.save(update_fields=_TEXT_FIELDS)


_TEXT_FIELDS = ["title", "text", "severity", "detail"]
