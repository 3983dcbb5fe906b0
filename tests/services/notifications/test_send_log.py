"""Log lines of sending: one per attempt, with rule, target, attempt and error."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from fleet.models import Delivery, DeliveryItem
from fleet.services.notifications import send, targets
from fleet.services.notifications.outcomes import Sent
from tests.factories import NOON, a_cluster, a_delivery, a_node, a_notice, a_rule, a_target
from tests.services.notifications.receivers import HttpReceiver

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("allow_loopback")]


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=send.__name__)


def a_message(address: str) -> Delivery:
    rule = a_rule(name="night shift", target=a_target("pager", address=address))
    delivery = a_delivery(rule)
    notice = a_notice("verdict", node=a_node(cluster=a_cluster()), title="n1 is not ready", matched_at=NOON)
    DeliveryItem.objects.create(delivery=delivery, rule=rule, notice=notice)
    return delivery


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """(level, message) of each line of sending."""
    return [(record.levelname, record.getMessage()) for record in caplog.records if record.name == send.__name__]


def test_each_attempt_is_one_line(receiver: HttpReceiver, caplog: pytest.LogCaptureFixture) -> None:
    delivery = a_message(receiver.url + "/hook?token=t0ken")
    receiver.answers = [500, 200]
    for seconds in (0, 30, 60):
        send.notify(lambda seconds=seconds: NOON + timedelta(seconds=seconds))  # type: ignore[misc]
    where = f"notification of rule night shift {delivery.uid} to pager"
    assert lines(caplog) == [
        ("WARNING", f"{where}: attempt 1 of 8 failed, will be repeated: The receiver answered 500."),
        ("INFO", f"{where}: sent, attempt 2"),
    ]
    assert "t0ken" not in caplog.text


def test_what_is_given_up_is_an_error(receiver: HttpReceiver, caplog: pytest.LogCaptureFixture) -> None:
    delivery = a_message(receiver.url)
    receiver.answers = [404]
    send.notify(lambda: NOON)
    where = f"notification of rule night shift {delivery.uid} to pager"
    assert lines(caplog) == [("ERROR", f"{where}: failed, attempt 1: The receiver answered 404.")]


def test_a_test_is_named_so(receiver: HttpReceiver, operator: Any, caplog: pytest.LogCaptureFixture) -> None:
    test = targets.send_test(operator, a_target("pager", address=receiver.url), NOON)
    send.notify(lambda: NOON)
    assert lines(caplog) == [("INFO", f"test {test.uid} to pager: sent, attempt 1")]


def test_a_worker_that_died_each_time_is_logged_once(receiver: HttpReceiver, caplog: pytest.LogCaptureFixture) -> None:
    delivery = a_message(receiver.url)
    Delivery.objects.filter(pk=delivery.pk).update(tries=send.MOST_TRIES)
    assert send.claim(NOON) is None
    assert send.claim(NOON) is None
    ((level, line),) = lines(caplog)
    assert (level, line.partition("attempt 8: ")[2]) == (
        "ERROR",
        "Given up after 8 attempts in 0 min. No attempt completed: the worker died each time.",
    )


def test_an_expired_claim_logs_nothing(receiver: HttpReceiver, caplog: pytest.LogCaptureFixture) -> None:
    a_message(receiver.url)
    first = send.claim(NOON)
    send.claim(NOON + send.LEASE)
    assert first is not None
    send.mark(first, Sent(True), NOON + send.LEASE)
    assert lines(caplog) == []


def test_an_answer_cannot_write_a_second_line(receiver: HttpReceiver, caplog: pytest.LogCaptureFixture) -> None:
    a_message(receiver.url)
    delivery = send.claim(NOON)
    assert delivery is not None
    send.mark(delivery, Sent(False, "451 later\n2026-12-01 INFO fleet: all is well\x1b[2J"), NOON)
    ((_, line),) = lines(caplog)
    assert "\n" not in line
    assert "\x1b" not in line
