"""The whole way for real: a run writes the outbox, beat and worker sort and send it, a killed worker loses nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from fleet.domain.snapshot.sections import Outcome
from fleet.models import Cluster, CollectionRun, Delivery, Notice
from fleet.services import outbox
from fleet.services.notifications import send
from fleet.services.retention import drop_old
from tests.absorbing import absorb
from tests.factories import NOON, a_cluster, a_delivery, a_notice, a_rule, a_target
from tests.services.notifications.receivers import HttpReceiver
from tests.services.snapshots import a_node, a_snapshot
from tests.services.test_collection import wait_for
from tests.services.test_rhythm import celery


def passed(cluster: Cluster, seconds: float, broken: dict[str, Outcome] | None = None) -> None:
    """One pass, absorbed as the collection does it; each in its own transaction."""
    nodes = () if broken else (a_node("n1"),)
    cluster.refresh_from_db()
    run = CollectionRun.objects.create(cluster=cluster, trigger="schedule", started_at=timezone.now())
    absorb(cluster, a_snapshot(*nodes, after_s=seconds, broken=broken), run)


@pytest.mark.django_db
def test_an_unreachable_cluster_is_notified_by_its_runs() -> None:
    cluster = Cluster.objects.create(name="east")
    silence = {"nodes": Outcome.UNREACHABLE, "pods": Outcome.SKIPPED}
    passed(cluster, 0)
    for minutes in (1, 2, 15):
        passed(cluster, 60 * minutes, silence)
    assert not Notice.objects.filter(kind="cluster").exists()
    passed(cluster, 60 * 16, silence)
    passed(cluster, 60 * 17, silence)
    passed(cluster, 60 * 18)
    passed(cluster, 60 * 19)
    result = Notice.objects.filter(kind="cluster").order_by("at").values_list("recovery", "at")
    assert list(result) == [(False, NOON + timedelta(minutes=1)), (True, NOON + timedelta(minutes=18))]


@pytest.mark.django_db
def test_an_older_run_that_ends_late_notifies_nothing() -> None:
    cluster = Cluster.objects.create(name="east")
    passed(cluster, 3600)
    rows = list(Notice.objects.values_list("pk", flat=True))
    passed(cluster, 0, {"nodes": Outcome.UNREACHABLE})
    assert list(Notice.objects.values_list("pk", flat=True)) == rows


@pytest.mark.django_db(transaction=True)
def test_beat_and_workers_send_what_is_in_the_outbox_once(
    receiver: HttpReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setenv("MUSTER_NOTIFY_ALLOW_PRIVATE", "127.0.0.0/8")
    monkeypatch.setenv("SECRET_KEY", django_settings.SECRET_KEY)
    (tmp_path / "kubeconfig").write_text("{}")
    settings.MUSTER_KUBECONFIG = str(tmp_path / "kubeconfig")
    a_rule(target=a_target(address=receiver.url))
    cluster = a_cluster()
    for number in range(10):
        outbox.add("request", f"request:{number}", datetime.now(UTC), f"Request {number}", cluster=cluster)
    with (
        celery("worker", "-c", "2", "-Q", "default", tmp_path=tmp_path),
        celery("beat", "-s", str(tmp_path / "one"), tmp_path=tmp_path),
        celery("beat", "-s", str(tmp_path / "two"), tmp_path=tmp_path),
    ):
        wait_for(lambda: Delivery.objects.filter(state="sent").count() == 10, 60)
    titles = [json.loads(request.body)["title"] for request in receiver.requests]
    assert sorted(titles) == [f"Request {number}" for number in range(10)]


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_while_it_sends_leaves_the_message_to_be_sent_again(
    receiver: HttpReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any, allow_loopback: None
) -> None:
    """It was sent and not marked: it goes out once more, under the same id, when the claim has run out."""
    import threading

    monkeypatch.setenv("MUSTER_NOTIFY_ALLOW_PRIVATE", "127.0.0.0/8")
    monkeypatch.setenv("SECRET_KEY", django_settings.SECRET_KEY)
    (tmp_path / "kubeconfig").write_text("{}")
    settings.MUSTER_KUBECONFIG = str(tmp_path / "kubeconfig")
    receiver.hold = threading.Event()
    delivery = a_delivery(a_rule(target=a_target(address=receiver.url)), at=datetime.now(UTC), is_test=True)
    with (
        celery("worker", "-c", "1", "-Q", "default", tmp_path=tmp_path),
        celery("beat", "-s", str(tmp_path / "one"), tmp_path=tmp_path),
    ):
        wait_for(lambda: len(receiver.requests) == 1, 60)
    receiver.hold.set()
    receiver.hold = None
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries) == ("waiting", 1)
    assert send.notify() == 0, "it is still claimed"
    send.notify(lambda: datetime.now(UTC) + send.LEASE)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries) == ("sent", 2)
    assert {request.headers["muster-delivery"] for request in receiver.requests} == {str(delivery.uid)}
    assert len(receiver.requests) == 2


@pytest.mark.django_db
def test_sent_events_are_deleted_in_time_and_waiting_ones_are_not() -> None:
    from fleet.models import DeliveryItem

    rule = a_rule()
    old, new = NOON - timedelta(days=100), NOON - timedelta(days=1)
    for at, ended in ((old, old), (old, None), (new, new)):
        delivery = a_delivery(rule, at=at, ended_at=ended, state="sent" if ended else "waiting")
        DeliveryItem.objects.create(delivery=delivery, rule=rule, notice=a_notice(at=at, matched_at=at))
    a_notice(at=old, matched_at=old)
    a_notice(at=old)
    dropped = drop_old(NOON)
    assert (dropped["deliveries"], dropped["notices"]) == (1, 2)
    assert (Delivery.objects.count(), Notice.objects.count()) == (2, 3)
