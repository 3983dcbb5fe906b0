"""Idempotency keys: a POST that is sent again with the same key is answered as the first time, and does nothing more."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from fleet.domain.asking import NotNow
from fleet.models import IdempotencyKey, User

KEPT = timedelta(days=1)
LONGEST = 200


class KeyReusedError(ValueError):
    """The key was used for another request before."""


def once(
    user: User, key: str, path: str, body: bytes, now: datetime, act: Callable[[], tuple[int, Any]]
) -> tuple[int, Any, bool]:
    """(status, answer, whether it was answered before). `act` runs once for a key within a day.

    Raises KeyReusedError for a key that belongs to another body or path, NotNow while the first one is still being answered, and
    whatever `act` raises; then the key is free again.
    """
    digest = hashlib.sha256(body).hexdigest()
    IdempotencyKey.objects.filter(user=user, key=key, at__lt=now - KEPT).delete()
    try:
        with transaction.atomic():
            row = IdempotencyKey.objects.create(user=user, key=key, path=path, digest=digest, at=now)
    except IntegrityError:
        return (*_answered(user, key, path, digest), True)
    try:
        with transaction.atomic():
            status, answer = act()
            IdempotencyKey.objects.filter(pk=row.pk).update(status=status, answer=answer)
    except BaseException:
        row.delete()
        raise
    return status, answer, False


def _answered(user: User, key: str, path: str, digest: str) -> tuple[int, Any]:
    row = IdempotencyKey.objects.get(user=user, key=key)
    if (row.path, row.digest) != (path, digest):
        raise KeyReusedError("This Idempotency-Key was used for another request. Make a new one for each.")
    if row.status is None:
        raise NotNow("The first request with this Idempotency-Key is still being answered.")
    return row.status, row.answer


def drop_old(now: datetime) -> int:
    """Forgets keys that are older than a day."""
    return IdempotencyKey.objects.filter(at__lt=now - KEPT).delete()[0]
