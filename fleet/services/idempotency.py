"""Idempotency keys: a POST repeated with the same key gets the first answer and has no further effect."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from fleet.domain.refusals import NotNow, Refused
from fleet.models import IdempotencyKey, User

KEPT = timedelta(days=1)
LONGEST = 200


class KeyReusedError(Refused):
    """The key was used for another request before."""


@dataclass(frozen=True)
class Sent:
    """What came with a key: who sent it, where to, and its digest."""

    user: User
    key: str
    path: str
    digest: str


def sent(user: User, key: str, path: str, body: bytes) -> Sent:
    return Sent(user, key, path, hashlib.sha256(body).hexdigest())


def once(
    request: Sent, now: datetime, act: Callable[[], tuple[int, Any]], check: Callable[[Any], object]
) -> tuple[int, Any, bool]:
    """(status, answer, whether it was answered before). `act` runs once for a key within a day.

    Before an answer is given again, `check` gets it and raises where its reader may not see it any more.

    Raises KeyReusedError for a key that belongs to another body or path, NotNow while the first one is still being answered, and
    whatever `act` raises; then the key is free again.
    """
    IdempotencyKey.objects.filter(user=request.user, key=request.key, at__lt=now - KEPT).delete()
    try:
        with transaction.atomic():
            row = IdempotencyKey.objects.create(
                user=request.user, key=request.key, path=request.path, digest=request.digest, at=now
            )
    except IntegrityError:
        status, answer = _answered(request)
        check(answer)
        return status, answer, True
    try:
        with transaction.atomic():
            status, answer = act()
            IdempotencyKey.objects.filter(pk=row.pk).update(status=status, answer=answer)
    except BaseException:
        row.delete()
        raise
    return status, answer, False


def _answered(request: Sent) -> tuple[int, Any]:
    row = IdempotencyKey.objects.get(user=request.user, key=request.key)
    if (row.path, row.digest) != (request.path, request.digest):
        raise KeyReusedError("This Idempotency-Key was used for another request. Use a new key for each request.")
    if row.status is None:
        raise NotNow("The first request with this Idempotency-Key is still being answered.")
    return row.status, row.answer


def drop_old(now: datetime) -> int:
    """Forgets keys that are older than a day."""
    return IdempotencyKey.objects.filter(at__lt=now - KEPT).delete()[0]
