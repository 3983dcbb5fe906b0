"""Whether pools and classes keep what they promise, judged over the whole fleet; and how much room each class has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from fleet.domain.classes.keeping import class_state
from fleet.domain.pools.findings import of_class, of_pool
from fleet.domain.pools.keeping import KEPT, Broken, broken_conditions, state_of
from fleet.models import Notice, PromisePeriod, WorkloadClass
from fleet.selectors import declarations
from fleet.selectors import headroom as rooms
from fleet.selectors import promises as select
from fleet.services import notices
from fleet.services.locks import promise_lock
from fleet.services.notifications import wording
from fleet.services.recording import findings

_FINDINGS = {"pool": of_pool, "class": of_class}


def judge(now: datetime) -> bool:
    """Writes the state of every pool and class, with its reasons, and each class's room. False where another worker is at it."""
    with promise_lock() as got:
        if got:
            _judge(now)
        return got


def _judge(now: datetime) -> None:
    here = rooms.stock(now)
    broken = {slug: broken_conditions(seen) for slug, seen in select.seen_pools(here, now).items()}
    states = {("pool", slug): (state_of(found), found) for slug, found in broken.items()}
    classes: dict[str, dict[str, Any]] = {}
    for slug, version in declarations.newest_versions().items():
        promise = declarations.promise_of(version)
        asked = rooms.class_asks(promise, here)
        room = rooms.room(promise, here)
        found = class_state(promise, asked, here.fleet, room, broken)
        states["class", slug] = (found.state, found.reasons)
        classes[slug] = rooms.as_json(room, asked)
    wrong = [finding for (kind, slug), (_, reasons) in states.items() for finding in _FINDINGS[kind](slug, reasons)]
    with transaction.atomic():
        notices.add_all(_record(states, now))
        findings.record_promises(wrong, now)
        for slug, told in classes.items():
            WorkloadClass.objects.filter(slug=slug).update(headroom=told, headroom_at=now)


def _record(states: Mapping[tuple[str, str], tuple[str, Sequence[Broken]]], now: datetime) -> list[Notice]:
    """Periods of the states: a new one where the state changed, other reasons are written into the present one. Returns what
    is worth telling: a promise that turned bad or worse, and one that is kept again."""
    news: list[Notice] = []
    present = {(row.kind, row.slug): row for row in PromisePeriod.objects.filter(period__endswith__isnull=True)}
    for place, (state, reasons) in states.items():
        row, sentences = present.get(place), [one.text for one in reasons]
        if row is not None and row.state == state:
            if row.reasons != sentences:
                PromisePeriod.objects.filter(pk=row.pk).update(reasons=sentences)
            continue
        if row is not None:
            _end([row], now)
        if state != KEPT or row is not None:
            news.append(wording.promise(place[0], place[1], state, row.state if row else "", sentences, now))
        PromisePeriod.objects.create(
            kind=place[0], slug=place[1], state=state, reasons=sentences, period=DateTimeTZRange(now, None)
        )
    _end([row for place, row in present.items() if place not in states], now)
    return news


def _end(rows: Sequence[PromisePeriod], at: datetime) -> None:
    for row in rows:
        if row.period.lower >= at:
            row.delete()
        else:
            PromisePeriod.objects.filter(pk=row.pk).update(period=DateTimeTZRange(row.period.lower, at))
