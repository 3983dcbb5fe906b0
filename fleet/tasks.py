"""Celery tasks: each calls one service. A lost or doubled message costs one tick at most."""

from __future__ import annotations

import contextlib

from celery import shared_task
from django.conf import settings
from django.utils import timezone
from kombu.exceptions import OperationalError

from fleet.services import (
    access_request_checks,
    audit_stream,
    clusters,
    collection_runs,
    compliance,
    data_check,
    fleet_collection,
    lost_runs,
    retention,
    rollups,
    schedule,
    staleness,
    stranded_days,
)
from fleet.services.notifications import send


@shared_task(name="fleet.tasks.tick")
def tick() -> None:
    """Sends one message for every cluster that is due."""
    clusters.register_clusters()
    for _ in schedule.take_due(timezone.now()):
        wake_collection()
    for cluster_id in schedule.take_due_telemetry(timezone.now()):
        collect_telemetry.apply_async((cluster_id,), expires=settings.TELEMETRY_INTERVAL.total_seconds())


@shared_task(name="fleet.tasks.collect_next")
def collect_next() -> None:
    """Collects the most urgent cluster that waits."""
    if fleet_collection.collect_next(timezone.now()):
        wake_collection()


@shared_task(name="fleet.tasks.collect")
def collect(cluster_id: int, trigger: str) -> None:
    """Collects a cluster on request."""
    schedule.start_turn(cluster_id, timezone.now())
    fleet_collection.collect_by_id(cluster_id, trigger=trigger)


@shared_task(name="fleet.tasks.collect_telemetry")
def collect_telemetry(cluster_id: int) -> None:
    """Scrapes exporters and model servers of one cluster, between two full runs."""
    fleet_collection.collect_by_id(cluster_id, trigger=collection_runs.TELEMETRY)


@shared_task(name="fleet.tasks.notify")
def notify() -> None:
    """Sends due notifications."""
    send.notify()


@shared_task(name="fleet.tasks.retention")
def retention_task() -> None:
    """Drops what is older than the settings say."""
    retention.drop_old(timezone.now())


@shared_task(name="fleet.tasks.stream_audit")
def stream_audit() -> None:
    """Sends new audit entries to syslog and the webhook that the settings name."""
    audit_stream.send_new(timezone.now())


@shared_task(name="fleet.tasks.compliance")
def evaluate_compliance() -> None:
    """Evaluates pools and classes over the whole fleet, and counts each class's room."""
    compliance.evaluate(timezone.now())


@shared_task(name="fleet.tasks.requests")
def check_requests() -> None:
    """Expires requests, and checks whether granted ones are used and still fit."""
    access_request_checks.keep_up(timezone.now())


@shared_task(name="fleet.tasks.silence")
def silence_task() -> None:
    """Turns verdicts unknown where a cluster has not been read for too long."""
    staleness.sweep(timezone.now())


@shared_task(name="fleet.tasks.lost_runs")
def close_lost_runs() -> None:
    """Closes runs whose worker died or lost its database."""
    lost_runs.close_all(timezone.now())


@shared_task(name="fleet.tasks.data_check", soft_time_limit=240, time_limit=270)
def check_data() -> None:
    """Checks the invariants of the database."""
    data_check.check(timezone.now())


@shared_task(name="fleet.tasks.rollups")
def rollups_task() -> None:
    """Refreshes the figures of today and yesterday."""
    rollups.refresh(timezone.now())


@shared_task(name="fleet.tasks.stranded_days")
def stranded_days_task() -> None:
    """Adds a sample of the stranded GPUs to today's."""
    stranded_days.record(timezone.now())


def enqueue(cluster_id: int, trigger: str) -> None:
    """Queues one run; the message expires when the next turn is due."""
    collect.apply_async((cluster_id, trigger), expires=settings.COLLECT_INTERVAL.total_seconds())


def wake_collection() -> None:
    """Lets a worker collect the cluster that is most urgent when it takes the message."""
    collect_next.apply_async(expires=settings.COLLECT_INTERVAL.total_seconds())


def wake_notify() -> None:
    """Lets a worker send now what is due. Without a broker the next beat does, so that an error is not needed."""
    with contextlib.suppress(OperationalError, OSError):
        notify.apply_async(expires=5, retry=False)


def wake_compliance() -> None:
    """Lets a worker evaluate pools and classes now. Without a broker the next beat does, within a minute."""
    with contextlib.suppress(OperationalError, OSError):
        evaluate_compliance.apply_async(expires=30, retry=False)
