"""Checks the invariants of the database and keeps the result, which pages, /readyz and /metrics show."""

from __future__ import annotations

import logging
import time
from datetime import datetime

from django.db import connection, transaction

from fleet.models import DataCheck
from fleet.selectors.muster.invariants import breaches

log = logging.getLogger(__name__)

MOST_KEPT = 100


def check(now: datetime) -> list[str]:
    """Returns the breaches, one sentence each, and records how many there are."""
    began = time.monotonic()
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost:  # one moment for all queries, whatever workers record during the check
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        result = list(breaches(now))
    took_ms = round(1000 * (time.monotonic() - began))
    values = {"at": now, "took_ms": took_ms, "count": len(result), "breaches": result[:MOST_KEPT]}
    DataCheck.objects.update_or_create(pk=1, defaults=values)
    for sentence in result[:MOST_KEPT]:
        log.error("data check: %s", sentence)
    log.info("data check: %d breaches, %d ms", len(result), took_ms)
    return result
