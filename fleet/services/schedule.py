"""The schedule: which clusters are due, by Postgres, so that several beats do no harm.

A message in the broker only means that something is due. The worker asks here for the cluster when it takes the message: so
the least recently read comes first however long the queue is, and clusters in trouble never hold more than their own lane.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce

from fleet.models import Cluster, CollectionRun, RunOutcome, User
from fleet.services.audit import audit
from fleet.services.locks import slow_lane

SHORT_DEADLINE_S = 15.0
LONGEST_PAUSE = timedelta(minutes=15)
"""Of a cluster whose runs killed their workers."""
FULL_DEADLINE_EVERY = 4
"""One of so many runs of a failing cluster gets the full deadline: it may simply need longer than the short one."""


@dataclass(frozen=True)
class Turn:
    """The next cluster to collect, and how long that may take."""

    cluster_id: int
    deadline_s: float
    is_slow_lane: bool = False


@transaction.atomic
def take_due(now: datetime) -> list[int]:
    """Ids of the clusters that became due, each marked as queued: one message for each is to be sent.

    The least recently read comes first. A cluster whose run still waits in the queue is not taken again, until that message has
    expired. A time that lies further ahead than one interval was written by a clock that was ahead: such a cluster is due.
    """
    due = list(
        _scheduled(now)
        .select_for_update(skip_locked=True)
        .filter(Q(next_due_at__isnull=True) | Q(next_due_at__lte=now) | Q(next_due_at__gt=now + settings.COLLECT_INTERVAL))
        .filter(_not_waiting(now))
        .order_by(F("read_at").asc(nulls_first=True), "id")
        .values_list("id", flat=True)
    )
    Cluster.objects.filter(id__in=due).update(
        next_due_at=Case(When(next_due_at__lte=now, then=F("next_due_at")), default=Value(now)), queued_at=now
    )
    return due


@contextmanager
def next_turn(now: datetime) -> Iterator[Turn | None]:
    """Yields the turn of the most urgent cluster that waits; None where none may begin now.

    Failing clusters share settings.SLOW_LANES places, however many workers there are: each holds a worker until its deadline.
    The place is held while the block lasts.
    """
    with slow_lane(settings.SLOW_LANES) as is_free:
        turn = _take_next(now, with_slow_lane=is_free)
        yield turn


@transaction.atomic
def _take_next(now: datetime, *, with_slow_lane: bool) -> Turn | None:
    waiting = _scheduled(now).select_for_update(skip_locked=True).filter(queued_at__isnull=False)
    order = (F("read_at").asc(nulls_first=True), "id")
    healthy = waiting.filter(troubled_runs=0).order_by(*order).first()
    troubled = waiting.filter(troubled_runs__gt=0).order_by("queued_at", *order).first() if with_slow_lane else None
    if troubled is not None and (healthy is None or _queued(troubled) <= _queued(healthy)):
        start_turn(troubled.pk, now)
        return Turn(troubled.pk, deadline_of(troubled), is_slow_lane=True)
    if healthy is None:
        return None
    start_turn(healthy.pk, now)
    return Turn(healthy.pk, settings.COLLECT_DEADLINE_S)


def _queued(cluster: Cluster) -> datetime:
    assert cluster.queued_at is not None  # noqa: S101 the query asked for it
    return cluster.queued_at


def deadline_of(cluster: Cluster) -> float:
    """Returns the seconds that the next run of a cluster may take.

    Few while it fails, though more than its last complete run took, and the full deadline now and then.
    """
    longest = float(settings.COLLECT_DEADLINE_S)
    if cluster.troubled_runs % FULL_DEADLINE_EVERY == 0:
        return longest
    good = cluster.runs.filter(outcome=RunOutcome.OK).exclude(trigger="telemetry").order_by("-started_at").first()
    usual = (good.finished_at - good.started_at).total_seconds() if good is not None and good.finished_at else 0.0
    return min(max(SHORT_DEADLINE_S, 1.5 * usual), longest)


def note_run(cluster: Cluster, run: CollectionRun) -> None:
    """Counts a full run that failed or took long; one that did neither ends the cluster's failing state and its pause."""
    if run.finished_at is None:
        return
    took_s = (run.finished_at - run.started_at).total_seconds()
    slow = took_s >= settings.COLLECT_INTERVAL.total_seconds() / 2
    failed = run.outcome == RunOutcome.FAILED or (run.outcome != RunOutcome.OK and took_s >= SHORT_DEADLINE_S)
    troubled = cluster.troubled_runs + 1 if failed or slow else 0
    if troubled != cluster.troubled_runs or cluster.paused_until is not None:
        cluster.troubled_runs, cluster.paused_until = troubled, None
        cluster.save(update_fields=["troubled_runs", "paused_until"])


@transaction.atomic
def take_due_telemetry(now: datetime) -> list[int]:
    """Ids of the clusters with telemetry due between two full runs, each given its next turn.

    Only clusters with known pods that are not failing, and not while a full run waits. A turn is enqueued once per
    interval and its message lives for one: more than one cannot wait.
    """
    due = list(
        _scheduled(now)
        .select_for_update(skip_locked=True)
        .filter(section_read_at__has_key="pods", queued_at__isnull=True, troubled_runs=0)
        .filter(
            Q(next_telemetry_at__isnull=True)
            | Q(next_telemetry_at__lte=now)
            | Q(next_telemetry_at__gt=now + settings.TELEMETRY_INTERVAL)
        )
        .values_list("id", flat=True)
    )
    Cluster.objects.filter(id__in=due).update(next_telemetry_at=now + settings.TELEMETRY_INTERVAL)
    return due


@transaction.atomic
def take_now(cluster_name: str, now: datetime, actor: User | None = None) -> int | None:
    """Returns the id of a cluster whose collection run was requested, marked as queued; None where one already waits."""
    taken = Cluster.objects.filter(name=cluster_name, removed_at__isnull=True).filter(_not_waiting(now)).update(queued_at=now)
    if not taken:
        return None
    audit(actor, "cluster.collect", cluster_name, at=now)
    return Cluster.objects.values_list("id", flat=True).get(name=cluster_name)


def _scheduled(now: datetime) -> QuerySet[Cluster]:
    """Configured clusters that are not paused. A later end than any pause can have was written by a clock that was ahead."""
    paused = Q(paused_until__gt=now, paused_until__lte=now + LONGEST_PAUSE)
    return Cluster.objects.filter(removed_at__isnull=True).exclude(paused)


def _not_waiting(now: datetime) -> Q:
    """Clusters without a message in the queue; one that was queued an interval ago, or in the future, has expired."""
    return Q(queued_at__isnull=True) | Q(queued_at__lte=now - settings.COLLECT_INTERVAL) | Q(queued_at__gt=now)


def start_turn(cluster_id: int, now: datetime) -> None:
    """The run has left the queue: the next one is due an interval after this one was, or after now if this one is late."""
    interval, late = settings.COLLECT_INTERVAL, now - settings.COLLECT_INTERVAL / 2
    due = Coalesce(F("next_due_at"), Value(now))
    Cluster.objects.filter(id=cluster_id).update(
        queued_at=None,
        next_due_at=Case(When(next_due_at__gt=late, next_due_at__lte=now, then=due + interval), default=Value(now + interval)),
        next_telemetry_at=now + settings.TELEMETRY_INTERVAL,  # a full run reads telemetry, too
    )


def cancel_turn(cluster_id: int) -> None:
    """Removes the mark of a queued run when its message could not be sent."""
    Cluster.objects.filter(id=cluster_id).update(queued_at=None)
