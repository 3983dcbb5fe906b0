"""Sends deliveries: one worker claims, sends and marks each; failures are retried with growing delays, a bounded number of times.

Claim, send and mark are three steps. A worker that dies between the last two leaves a sent message unmarked: it is sent
again when the claim expires. Receivers of webhooks recognise it by Muster-Delivery.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from fleet.models import Delivery
from fleet.services.notifications import match, messengers, neutral, targets, webhooks
from fleet.services.notifications.messages import compose
from fleet.services.notifications.outcomes import Sent
from fleet.services.notifications.secrets import UnreadableError

MOST_TRIES = 8
FIRST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_WAIT_S = 15.0, 900.0, 3600.0
LEASE = timedelta(seconds=settings.COLLECT_HARD_LIMIT_S + 30)
"""Longer than any task lives: no other worker takes what a living one has claimed."""
TOO_OLD = timedelta(days=2)
_State = Delivery.State
log = logging.getLogger(__name__)


def notify(clock: Callable[[], datetime] = timezone.now, budget_s: float = 60.0) -> int:
    """One round: matches the outbox, then sends due deliveries one after the other within the time budget.

    How many were tried. The next round comes in seconds, and rounds of several workers share the work.
    """
    while match.match(clock()):
        pass
    deadline, tried = time.monotonic() + budget_s, 0
    while time.monotonic() < deadline and (delivery := claim(clock())) is not None:
        tried += 1
        mark(delivery, _deliver(delivery, clock()), clock())
    return tried


def claim(now: datetime) -> Delivery | None:
    """Claims the next due delivery until the lease ends; marks those without attempts left as failed.

    A failing target delays its later deliveries, so that a recovery never overtakes its event; tests are sent at once.
    """
    while True:
        with transaction.atomic():
            delivery = _next(now)
            if delivery is None:
                return None
            if delivery.tries < MOST_TRIES and now - delivery.created_at <= TOO_OLD:
                delivery.tries, delivery.due_at = delivery.tries + 1, now + LEASE
                delivery.save(update_fields=["tries", "due_at"])
                return delivery
            why = delivery.error or "No attempt completed: the worker died each time."
            delivery.state, delivery.ended_at = _State.FAILED, now
            delivery.error = (
                f"Given up after {delivery.tries} attempts in {(now - delivery.created_at).total_seconds() / 60:.0f} min. {why}"
            )
            delivery.save(update_fields=["state", "ended_at", "error"])
            _log(delivery, _State.FAILED, delivery.error)


def _next(now: datetime) -> Delivery | None:
    earlier = Delivery.objects.filter(
        target=OuterRef("target"), state=_State.WAITING, is_test=False, tries__gt=0, pk__lt=OuterRef("pk")
    )
    return (
        Delivery.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(state=_State.WAITING, due_at__lte=now)
        .exclude(Exists(earlier), is_test=False)
        .order_by("due_at", "pk")
        .select_related("target")
        .first()
    )


def mark(delivery: Delivery, sent: Sent, now: datetime) -> None:
    """Stores and logs the outcome of an attempt, unless the claim expired and another attempt began."""
    changes: dict[str, object] = {"error": sent.error, "ended_at": now}
    if sent.ok:
        changes |= {"state": _State.SENT, "sent_at": now, "error": ""}
    elif sent.lasting or delivery.tries >= MOST_TRIES or delivery.is_test:
        changes |= {"state": _State.FAILED}
    else:
        wait_s = pause(delivery.tries, sent.wait_s)
        changes = {"error": sent.error, "due_at": now + timedelta(seconds=wait_s)}
    claimed = Delivery.objects.filter(pk=delivery.pk, state=_State.WAITING, tries=delivery.tries)
    if claimed.update(**changes):
        _log(delivery, str(changes.get("state", "")), sent.error or "")


def _log(delivery: Delivery, state: str, error: str) -> None:
    """Logs one line for an attempt: sent, failed for good, or failed and repeated. The receiver's text cannot add a line."""
    name = neutral.line(delivery.target_name or str(delivery.target or "a deleted target"))
    what = "test" if delivery.is_test else f"notification of rule {neutral.line(delivery.rule_name)}"
    where = f"{what} {delivery.uid} to {name}"
    if state == _State.SENT:
        log.info("%s: sent, attempt %d", where, delivery.tries)
    elif state == _State.FAILED:
        log.error("%s: failed, attempt %d: %s", where, delivery.tries, neutral.line(error))
    else:
        log.warning("%s: attempt %d of %d failed, will be repeated: %s", where, delivery.tries, MOST_TRIES, neutral.line(error))


def pause(tries: int, asked_s: float | None) -> float:
    """Seconds until the next try: doubled each time, with a tenth of chance so that many do not come back at once.

    Never sooner than the receiver asked, within reason.
    """
    own = min(FIRST_PAUSE_S * 2 ** (tries - 1), LONGEST_PAUSE_S) * random.uniform(0.9, 1.1)  # noqa: S311 nothing to guess
    return max(own, min(asked_s or 0.0, LONGEST_WAIT_S))


def _deliver(delivery: Delivery, now: datetime) -> Sent:
    if delivery.target is None:
        return Sent(False, "The target was deleted.", lasting=True)
    if delivery.target.kind == "inbox":
        return Sent(True)  # its page writes the message from the delivery
    try:
        address, secret = targets.open_address(delivery.target)
    except UnreadableError as error:
        return Sent(False, str(error), lasting=True)
    message = compose(delivery)
    if not delivery.is_test and not message.body["notices"]:
        return Sent(False, "Its node or cluster was deleted.", lasting=True)
    if delivery.target.kind == "webhook":
        return webhooks.send(address, secret, message, now)
    return messengers.send(address, message)
