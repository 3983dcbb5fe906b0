"""Deliveries on their way, to real receivers: exactly one POST each, signed, tried again, given up, never sent twice."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from django.db import connection

from fleet.models import Delivery, DeliveryItem
from fleet.services.notifications import messages, send, targets, webhooks
from fleet.services.notifications.outcomes import Sent
from fleet.services.notifications.secrets import seal
from tests.factories import NOON, a_cluster, a_delivery, a_node, a_notice, a_rule, a_target
from tests.services.notifications.receivers import HttpReceiver, Mailbox

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("allow_loopback")]
SECRET = "s3cret-s3cret-s3cret"


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def a_message(receiver: HttpReceiver, *titles: str, **fields: Any) -> Delivery:
    """A due delivery to the receiver with one notice a title."""
    rule = a_rule(target=fields.pop("target", None) or a_target(address=receiver.url + "/hook?token=t0ken"))
    delivery = a_delivery(rule, **fields)
    for title in titles or ("n1 is not ready",):
        values = {"title": title, "text": "No driver.", "detail": {"verdict": "not_ready"}, "matched_at": NOON}
        notice = a_notice("verdict", node=a_node(cluster=a_cluster()), **values)
        DeliveryItem.objects.create(delivery=delivery, rule=rule, notice=notice)
    return delivery


def rounds(*seconds: float) -> None:
    for moment in seconds:
        send.notify(lambda moment=moment: at(moment))  # type: ignore[misc]


def test_one_delivery_is_one_post_that_its_secret_signs(receiver: HttpReceiver) -> None:
    delivery = a_message(receiver)
    rounds(0, 5, 10)
    (request,) = receiver.requests
    assert request.path == "/hook?token=t0ken"
    stamp = request.headers["muster-timestamp"]
    assert int(stamp) == int(NOON.timestamp())
    expected = hmac.new(SECRET.encode(), stamp.encode() + b"." + request.body, hashlib.sha256).hexdigest()
    assert request.headers["muster-signature"] == f"v1={expected}"
    assert request.headers["muster-delivery"] == request.headers["idempotency-key"] == str(delivery.uid)
    body = json.loads(request.body)
    assert (body["id"], body["test"], body["title"]) == (str(delivery.uid), False, "n1 is not ready")
    (notice,) = body["notices"]
    assert (notice["cluster"], notice["severity"], notice["recovery"], notice["pool"]) == ("east", "critical", False, None)
    assert notice["detail"] == {"verdict": "not_ready"}
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries, delivery.sent_at, delivery.error) == ("sent", 1, NOON, "")


def test_several_notices_are_one_message(receiver: HttpReceiver, settings: Any) -> None:
    settings.PUBLIC_URL = "https://muster.example.com"
    a_message(receiver, "a", "b", "c")
    rounds(0)
    body = json.loads(receiver.requests[0].body)
    assert body["title"] == "3 nodes are unhealthy (east)"
    assert body["text"].splitlines() == ["• 12:00 a", "• 12:00 b", "• 12:00 c", "https://muster.example.com"]
    assert body["notices"][0]["url"].startswith("https://muster.example.com/nodes/east/")


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_a_receiver_in_trouble_is_asked_again_later(receiver: HttpReceiver, status: int) -> None:
    delivery = a_message(receiver)
    receiver.answers = [status, status]
    rounds(0, 10)
    assert len(receiver.requests) == 1, "the first pause is not over"
    rounds(17, 30, 17 + 34, 60)
    assert len(receiver.requests) == 3
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries) == ("sent", 3)
    bodies = {request.body for request in receiver.requests}
    assert len(bodies) == 1, "a repetition says the same"
    assert len({request.headers["idempotency-key"] for request in receiver.requests}) == 1
    assert len({request.headers["muster-signature"] for request in receiver.requests}) == 3


@pytest.mark.parametrize("wait", ["120", format_datetime(at(120), usegmt=True)])
def test_how_long_the_receiver_asks_to_wait_is_heeded(receiver: HttpReceiver, wait: str) -> None:
    delivery = a_message(receiver)
    receiver.answers = [(429, {"Retry-After": wait})]
    rounds(0, 60, 119)
    assert len(receiver.requests) == 1
    delivery.refresh_from_db()
    assert delivery.due_at == at(120)
    assert delivery.error == "The receiver answered 429."
    rounds(120)
    assert len(receiver.requests) == 2


def test_a_receiver_cannot_put_us_off_forever(receiver: HttpReceiver) -> None:
    delivery = a_message(receiver)
    receiver.answers = [(503, {"Retry-After": "99999999999"})]
    rounds(0)
    delivery.refresh_from_db()
    assert delivery.due_at == at(send.LONGEST_WAIT_S)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_what_will_never_work_is_not_tried_again(receiver: HttpReceiver, status: int) -> None:
    delivery = a_message(receiver)
    receiver.answers = [status]
    rounds(0, 1000)
    assert len(receiver.requests) == 1
    delivery.refresh_from_db()
    assert (delivery.state, delivery.error) == ("failed", f"The receiver answered {status}.")


def test_a_redirect_is_an_error_and_not_followed(receiver: HttpReceiver) -> None:
    delivery = a_message(receiver)
    receiver.answers = [(307, {"Location": receiver.url + "/elsewhere"})]
    rounds(0)
    assert [request.path for request in receiver.requests] == ["/hook?token=t0ken"]
    delivery.refresh_from_db()
    assert delivery.error == "The receiver answered 307, a redirect to 127.0.0.1. Enter the final address."


def test_it_gives_up_in_the_end_and_says_so(receiver: HttpReceiver) -> None:
    delivery = a_message(receiver)
    receiver.answers = [500] * 100
    rounds(*range(0, 3600, 60))
    assert len(receiver.requests) == send.MOST_TRIES
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries, delivery.error) == ("failed", 8, "The receiver answered 500.")
    assert delivery.ended_at is not None
    assert timedelta(minutes=25) < delivery.ended_at - NOON < timedelta(minutes=45)


def test_silence_is_a_time_out(receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "READ_S", 0.3)
    receiver.hold = threading.Event()
    delivery = a_message(receiver)
    rounds(0)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries) == ("waiting", 1)
    assert delivery.error.startswith("No answer within")


def test_a_refused_connection(receiver: HttpReceiver) -> None:
    delivery = a_message(receiver, target=a_target(address="http://127.0.0.1:9/secret-path"))
    rounds(0)
    delivery.refresh_from_db()
    assert delivery.error == "Connection refused, or the name does not resolve."


def test_where_it_became_forbidden_to_go_nothing_is_sent(receiver: HttpReceiver, settings: Any) -> None:
    delivery = a_message(receiver)
    settings.NOTIFY_ALLOWED_NETWORKS = ()
    rounds(0)
    delivery.refresh_from_db()
    assert (delivery.state, receiver.requests) == ("failed", [])
    assert "MUSTER_NOTIFY_ALLOW_PRIVATE" in delivery.error


def test_an_address_encrypted_with_another_key_is_reported(receiver: HttpReceiver, settings: Any) -> None:
    delivery = a_message(receiver)
    before, settings.SECRET_KEY = settings.SECRET_KEY, "another"
    rounds(0)
    delivery.refresh_from_db()
    assert (delivery.state, receiver.requests) == ("failed", [])
    assert "SECRET_KEY_FALLBACKS" in delivery.error
    settings.SECRET_KEY_FALLBACKS = [before]
    assert targets.open_address(delivery.target)[1] == SECRET


def test_a_target_in_trouble_holds_back_what_came_after_but_no_other_target(receiver: HttpReceiver) -> None:
    target = a_target(address=receiver.url + "/one")
    first = a_message(receiver, "bad", target=target)
    a_message(receiver, "good", target=target, due_at=at(1))
    a_message(receiver, "other", due_at=at(2))
    receiver.answers = [500]
    rounds(3)
    paths = [json.loads(request.body)["title"] for request in receiver.requests]
    assert paths == ["bad", "other"]
    rounds(30)
    assert [json.loads(request.body)["title"] for request in receiver.requests][2:] == ["bad", "good"]
    first.refresh_from_db()
    assert first.state == "sent"


def test_a_test_does_not_wait_and_is_tried_once(receiver: HttpReceiver, operator: Any) -> None:
    target = a_target("mine", address=receiver.url + "/one")
    a_message(receiver, "bad", target=target)
    receiver.answers = [500, 503]
    rounds(0)
    test = targets.send_test(operator, target, at(1))
    rounds(2)
    test.refresh_from_db()
    assert (test.state, test.error) == ("failed", "The receiver answered 503.")
    body = json.loads(receiver.requests[1].body)
    assert (body["test"], body["title"], body["notices"]) == (True, "Test from Muster", [])


def test_what_is_days_old_is_no_news(receiver: HttpReceiver) -> None:
    delivery = a_message(receiver)
    rounds(timedelta(days=3).total_seconds())
    delivery.refresh_from_db()
    assert (delivery.state, receiver.requests) == ("failed", [])


def test_a_claim_is_its_workers_own_until_it_has_run_out(receiver: HttpReceiver) -> None:
    """A worker that dies between sending and marking: the message goes out once more, and only then."""
    delivery = a_message(receiver)
    claimed = send.claim(NOON)
    assert claimed == delivery
    assert send.claim(at(send.LEASE.total_seconds() - 1)) is None
    again = send.claim(at(send.LEASE.total_seconds()))
    assert again is not None
    assert again.tries == 2
    send.mark(claimed, Sent(False, "late"), at(200))
    delivery.refresh_from_db()
    assert (delivery.state, delivery.error) == ("waiting", ""), "the first worker's word comes too late"
    send.mark(again, Sent(True), at(201))
    delivery.refresh_from_db()
    assert delivery.state == "sent"


def test_a_worker_that_dies_each_time_is_given_up_too(receiver: HttpReceiver) -> None:
    delivery = a_message(receiver)
    for number in range(send.MOST_TRIES):
        assert send.claim(at(number * 1000)) == delivery
    assert send.claim(at(9000)) is None
    delivery.refresh_from_db()
    assert delivery.state == "failed"
    assert "died" in delivery.error


@pytest.mark.django_db(transaction=True)
def test_many_workers_at_once_send_each_message_once(receiver: HttpReceiver) -> None:
    for number in range(30):
        a_message(receiver, f"m{number}")

    def work() -> None:
        try:
            send.notify(lambda: NOON)
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    titles = [json.loads(request.body)["title"] for request in receiver.requests]
    assert sorted(titles) == sorted(f"m{number}" for number in range(30))
    assert Delivery.objects.filter(state="sent", tries=1).count() == 30


def test_the_pause_grows_to_its_bound() -> None:
    bounds = [(15 * 2**number * 0.9, min(15 * 2**number, 900) * 1.1) for number in range(7)]
    for number, (low, high) in enumerate(bounds):
        assert min(low, 810) <= send.pause(number + 1, None) <= high
    assert send.pause(1, 500) == 500


def test_a_round_ends_when_its_budget_is_spent(receiver: HttpReceiver) -> None:
    a_message(receiver)
    began = time.monotonic()
    assert send.notify(lambda: NOON, budget_s=0) == 0
    assert time.monotonic() >= began
    assert receiver.requests == []


# --- e-mail through Apprise, to a real SMTP server ---------------------------------------------------------------------


def a_mail(mailbox: Mailbox, **fields: Any) -> Delivery:
    address = f"mailto://127.0.0.1:{mailbox.port}/?from=muster@example.com&to=oncall@example.com,boss@example.com&smtp=127.0.0.1"
    delivery = a_delivery(a_rule(target=a_target(kind="apprise", address=address, secret=b"")), **fields)
    notice = a_notice(
        "finding", node=a_node("n1"), title="n1: Xid 79 on GPU 5 — fallen off the bus.", text="Restart it.", matched_at=NOON
    )
    DeliveryItem.objects.create(delivery=delivery, rule=delivery.rule, notice=notice)
    return delivery


def test_e_mail(mailbox: Mailbox) -> None:
    delivery = a_mail(mailbox)
    rounds(0)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.error) == ("sent", "")
    assert sorted(person for _, people, _ in mailbox.mails for person in people) == ["boss@example.com", "oncall@example.com"]
    sender, _, mail = mailbox.mails[0]
    assert sender == "muster@example.com"
    from email.header import decode_header, make_header

    assert str(make_header(decode_header(mail["Subject"]))) == "n1: Xid 79 on GPU 5 — fallen off the bus."
    text = b"".join(part.get_payload(decode=True) for part in mail.walk() if not part.is_multipart()).decode()
    assert "Restart it." in text


def test_a_mail_server_that_refuses_is_asked_again(mailbox: Mailbox) -> None:
    mailbox.refuse = "451 try again"
    delivery = a_mail(mailbox)
    rounds(0)
    delivery.refresh_from_db()
    assert delivery.state == "waiting"
    assert delivery.error
    mailbox.refuse = ""
    rounds(20)
    delivery.refresh_from_db()
    assert delivery.state == "sent"


def test_mail_does_not_go_inside_either(mailbox: Mailbox, settings: Any) -> None:
    settings.NOTIFY_ALLOWED_NETWORKS = ()
    delivery = a_mail(mailbox)
    rounds(0)
    delivery.refresh_from_db()
    assert (delivery.state, mailbox.mails) == ("failed", [])
    assert "127.0.0.1 is this machine" in delivery.error


def test_messages_count_what_they_hold() -> None:
    delivery = a_delivery()
    kinds = (
        ("verdict", False),
        ("verdict", False),
        ("finding", False),
        ("cluster", False),
        ("verdict", True),
        ("request", False),
    )
    for kind, recovery in kinds:
        DeliveryItem.objects.create(delivery=delivery, rule=delivery.rule, notice=a_notice(kind, recovery=recovery))
    message = messages.compose(delivery)
    assert message.title == "2 nodes are unhealthy, 1 request update, 1 finding, 1 cluster unreachable, 1 recovery"
    assert message.tone == "failure"


def test_a_long_message_is_cut_with_a_count() -> None:
    delivery = a_delivery()
    for _ in range(25):
        DeliveryItem.objects.create(delivery=delivery, rule=delivery.rule, notice=a_notice("finding", severity="warning"))
    message = messages.compose(delivery)
    assert message.text.splitlines()[-1] == "and 5 more"
    assert (message.tone, len(message.body["notices"])) == ("warning", 25)


def test_good_news_has_the_tone_of_good_news() -> None:
    delivery = a_delivery()
    DeliveryItem.objects.create(delivery=delivery, rule=delivery.rule, notice=a_notice(recovery=True))
    assert messages.compose(delivery).tone == "success"


def test_sealed_is_not_readable() -> None:
    assert b"hunter2" not in seal("hunter2")
