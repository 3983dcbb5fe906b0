"""Celery tasks: each calls one service. A lost or doubled message costs one tick at most."""

from __future__ import annotations

import contextlib

from celery import shared_task
from django.conf import settings
from django.utils import timezone
from kombu.exceptions import OperationalError

from fleet.services import clusters, collection, promises, request_checks, retention, rollups, schedule, silence
from fleet.services.notifications import send


@shared_task(name="fleet.tasks.tick")
def tick() -> None:
    """Enqueues every cluster that is due."""
    clusters.register_clusters()
    for cluster_id in schedule.take_due(timezone.now()):
        enqueue(cluster_id, "schedule")
    for cluster_id in schedule.take_due_telemetry(timezone.now()):
        collect_telemetry.apply_async((cluster_id,), expires=settings.TELEMETRY_INTERVAL.total_seconds())


@shared_task(name="fleet.tasks.collect")
def collect(cluster_id: int, trigger: str) -> None:
    """One pass over one cluster."""
    schedule.start_turn(cluster_id)
    collection.collect_by_id(cluster_id, trigger=trigger)


@shared_task(name="fleet.tasks.collect_telemetry")
def collect_telemetry(cluster_id: int) -> None:
    """Exporters and model servers of one cluster, between two whole passes."""
    collection.collect_by_id(cluster_id, trigger=collection.TELEMETRY)


@shared_task(name="fleet.tasks.notify")
def notify() -> None:
    """Tells people what waits to be told."""
    send.notify()


@shared_task(name="fleet.tasks.retention")
def retention_task() -> None:
    """Drops what is older than the settings say."""
    retention.drop_old(timezone.now())


@shared_task(name="fleet.tasks.promises")
def judge_promises() -> None:
    """Judges pools and classes over the whole fleet, and counts each class's room."""
    promises.judge(timezone.now())


@shared_task(name="fleet.tasks.requests")
def check_requests() -> None:
    """Lets requests expire, and looks whether granted ones are used and would still land."""
    request_checks.keep_up(timezone.now())


@shared_task(name="fleet.tasks.silence")
def silence_task() -> None:
    """Turns verdicts unknown where a cluster has not been read for too long."""
    silence.sweep(timezone.now())


@shared_task(name="fleet.tasks.rollups")
def rollups_task() -> None:
    """Refreshes the figures of today and yesterday."""
    rollups.refresh(timezone.now())


def enqueue(cluster_id: int, trigger: str) -> None:
    """Puts one pass into the queue; the message expires when the next turn is due anyway."""
    collect.apply_async((cluster_id, trigger), expires=settings.COLLECT_INTERVAL.total_seconds())


def wake_notify() -> None:
    """Lets a worker send now what is due. Without a broker the next beat does, so nobody has to hear of it."""
    with contextlib.suppress(OperationalError, OSError):
        notify.apply_async(expires=5, retry=False)


def wake_promises() -> None:
    """Lets a worker judge pools and classes now. Without a broker the next beat does, within a minute."""
    with contextlib.suppress(OperationalError, OSError):
        judge_promises.apply_async(expires=30, retry=False)
