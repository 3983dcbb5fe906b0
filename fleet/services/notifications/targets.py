"""Targets: created, changed and deleted with an entry in the audit log; addresses are encrypted and never shown again."""

from __future__ import annotations

import secrets as random
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from fleet.domain.refusals import FieldError
from fleet.models import Delivery, NotificationTarget, User
from fleet.services.audit import audit
from fleet.services.notifications import guard, messengers, webhooks
from fleet.services.notifications.secrets import seal, unseal

KINDS = ("apprise", "webhook", "inbox")
_IN_MUSTER = "Kept in Muster, sent to nobody"
_LONGEST_ADDRESS = 2_000
_SHORTEST_SECRET = 16


def create(actor: User, *, name: str, kind: str, address: str = "", secret: str = "") -> tuple[NotificationTarget, str]:
    """Creates a target. Returns it and, for a webhook, the secret that signs it: given, or generated; it is shown only once.

    Raises ValidationError by field.
    """
    target = NotificationTarget(kind=_kind(kind), created_at=timezone.now())
    secret = _fill(target, name=name, address=address, secret=secret or (_new_secret() if kind == "webhook" else ""))
    with transaction.atomic():
        _save(target)
        audit(actor, "notification_target.create", target.name, detail={"after": {"kind": kind, "shown": target.shown}})
    return target, secret


def update(
    actor: User, target: NotificationTarget, *, name: str | None = None, address: str = "", secret: str = ""
) -> NotificationTarget:
    """Changes what is given; an empty address or secret stays as it is. Raises ValidationError by field."""
    before = {"name": target.name, "shown": target.shown}
    _fill(target, name=target.name if name is None else name, address=address, secret=secret)
    after = {"name": target.name, "shown": target.shown}
    with transaction.atomic():
        _save(target)
        detail = {"before": before, "after": after, "address_changed": bool(address), "secret_changed": bool(secret)}
        audit(actor, "notification_target.change", target.name, detail=detail)
    return target


@transaction.atomic
def delete(actor: User, target: NotificationTarget) -> None:
    """Deletes the target and its rules; the log of its deliveries is kept."""
    rules = list(target.rules.values_list("name", flat=True))
    audit(actor, "notification_target.delete", target.name, detail={"before": {"shown": target.shown}, "rules": rules})
    drop_waiting(Delivery.objects.filter(target=target), "Its target was deleted.")
    target.delete()


@transaction.atomic
def send_test(actor: User, target: NotificationTarget, now: datetime) -> Delivery:
    """Queues a test message. The delivery's row shows its outcome."""
    audit(actor, "notification_target.test", target.name)
    return Delivery.objects.create(target=target, target_name=target.name, created_at=now, due_at=now, is_test=True)


def drop_waiting(deliveries: Any, why: str) -> None:
    """Deliveries that have not gone out yet will not."""
    deliveries.filter(state=Delivery.State.WAITING).update(state=Delivery.State.SUPPRESSED, ended_at=timezone.now(), error=why)


def open_address(target: NotificationTarget) -> tuple[str, str]:
    """Address and secret in clear. Raises secrets.UnreadableError."""
    return unseal(target.address), unseal(target.secret)


def _kind(kind: str) -> str:
    if kind not in KINDS:
        raise ValidationError({"kind": [f"Choose one of {', '.join(KINDS)}."]})
    return kind


def _fill(target: NotificationTarget, *, name: str, address: str, secret: str) -> str:
    errors: dict[str, list[str]] = {}
    name, address, secret = name.strip(), address.strip(), secret.strip()
    if not name or len(name) > 100:
        errors["name"] = ["Give a name of at most 100 characters."]
    if target.kind == "inbox":
        if address:
            errors["address"] = ["An inbox has no address: its messages are kept in Muster."]
        target.shown, target.address = _IN_MUSTER, b""
    elif not address and not target.address:
        errors["address"] = ["Give the address."]
    elif address:
        try:
            target.shown = _shown(target.kind, address)
            target.address = seal(address)
        except (ValueError, guard.RefusedError, FieldError) as error:
            errors["address"] = [str(error)]
    if secret and target.kind != "webhook":
        errors["secret"] = ["Only webhooks are signed."]
    elif secret and len(secret) < _SHORTEST_SECRET:
        errors["secret"] = [f"Give at least {_SHORTEST_SECRET} characters, or leave it empty and one is made."]
    elif secret:
        target.secret = seal(secret)
    if errors:
        raise ValidationError(errors)
    target.name = name
    return secret


def _shown(kind: str, address: str) -> str:
    if len(address) > _LONGEST_ADDRESS:
        raise ValueError(f"The address is longer than {_LONGEST_ADDRESS} characters.")
    return webhooks.check(address) if kind == "webhook" else messengers.check(address)


def _save(target: NotificationTarget) -> None:
    try:
        with transaction.atomic():
            target.save()
    except IntegrityError as error:
        raise ValidationError({"name": [f"A target named {target.name} already exists."]}) from error


def _new_secret() -> str:
    return f"mhs_{random.token_urlsafe(32)}"
