"""The incident's grace: bad verdicts in the outbox become news or go, decided by the periods and never by when we look."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from fleet.domain import news
from fleet.domain.news import Stood
from fleet.models import Notice, VerdictPeriod
from fleet.services.notifications import wording

_BEFORE = timedelta(days=1)
"""Periods that ended longer before a notice than this cannot be part of its first minutes."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of a node that has not been good since: from when, and which verdicts one after the other."""

    since: datetime
    verdicts: tuple[str, ...]


def settle(now: datetime) -> list[int]:
    """Decides every bad verdict whose grace is over: ids of those that are news; what was shorter is taken out of the outbox.

    The grace is over for good once a pass later than it was recorded: until then a pass on its way may still say otherwise.
    Where none comes, its cluster's verdicts turn unknown, and that is on record, after STALE_AFTER. Nodes that are unknown
    because their cluster cannot be read are no news of their own: the cluster is.
    """
    waiting = Notice.objects.filter(kind="verdict", recovery=False, matched_at__isnull=True).select_related("cluster")
    due = [notice for notice in waiting if _is_decided(notice, now)]
    if not due:
        return []
    told = _news_of({notice.node_id for notice in due if notice.node_id}, min(notice.at for notice in due))
    gone, stays, silent = [], [], _Silences({notice.cluster_id for notice in due if notice.cluster_id})
    for notice in due:
        verdict = told.get(notice.node_id or 0, {}).get(notice.at)
        if verdict is None or (verdict == "unknown" and silent.at(notice.cluster_id, notice.at)):
            gone.append(notice.pk)
            continue
        if verdict != notice.detail.get("verdict"):
            _retell(notice, verdict)
        stays.append(notice.pk)
    Notice.objects.filter(pk__in=gone).delete()
    return stays


def told(node_ids: Collection[int], at: datetime) -> dict[int, Told]:
    """What was or will be told of these nodes before `at` and since they were last good, by node; nodes without any left out."""
    recent = Notice.objects.filter(kind="verdict", node_id__in=node_ids, at__lt=at).order_by("-at", "-id")
    since: dict[int, list[Notice]] = defaultdict(list)
    good: set[int] = set()
    for notice in recent:
        node_id = notice.node_id or 0
        if notice.recovery:
            good.add(node_id)
        elif node_id not in good:
            since[node_id].append(notice)
    pending = [one for found in since.values() for one in found if one.matched_at is None]
    decided = _news_of({one.node_id or 0 for one in pending}, min(one.at for one in pending)) if pending else {}
    found: dict[int, Told] = {}
    for node_id, newest_first in since.items():
        known = [
            (one.at, verdict)
            for one in reversed(newest_first)
            if (verdict := one.detail["verdict"] if one.matched_at else decided.get(node_id, {}).get(one.at))
        ]
        if known:
            found[node_id] = Told(known[0][0], tuple(verdict for _, verdict in known))
    return found


class _Silences:
    """When clusters could not be read, as far as that was told."""

    def __init__(self, cluster_ids: Collection[int]) -> None:
        self._turns: dict[int | None, list[tuple[datetime, bool]]] = defaultdict(list)
        rows = Notice.objects.filter(kind="cluster", cluster_id__in=cluster_ids).order_by("at", "id")
        for cluster_id, at, recovery in rows.values_list("cluster_id", "at", "recovery"):
            self._turns[cluster_id].append((at, not recovery))

    def at(self, cluster_id: int | None, moment: datetime) -> bool:
        """Whether the cluster was silent then."""
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
    return {node_id: news.news(stood, settings.INCIDENT_GRACE) for node_id, stood in periods.items()}


def _retell(notice: Notice, verdict: str) -> None:
    """Another bad verdict stood when the grace was over: that one is told, in the words of its own period."""
    period = (
        VerdictPeriod.objects.filter(node=notice.node, verdict=verdict, period__startswith__gte=notice.at)
        .select_related("node", "node__cluster")
        .order_by("period")
        .first()
    )
    if period is not None:
        said = wording.bad_verdict(period, notice.at)
        for field in _SAID:
            setattr(notice, field, getattr(said, field))
        notice.save(update_fields=_SAID)


_SAID = ["title", "text", "severity", "detail"]
