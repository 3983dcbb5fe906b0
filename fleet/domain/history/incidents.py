"""Incidents, flaps and repairs, computed from a node's verdicts.

A stretch is uninterrupted time in which a node was not ready, whichever rung broke first. It is an incident once it is longer
than the grace. Starting, unknown and excluded time is not an incident: it ends a stretch and is counted separately. A stretch is
repaired when the node is ready or degraded again, at once or after starting; with unknown or excluded time or an absence in
between, the time of the repair is unknown. A flap leaves ready or degraded and is repaired within the time given for flaps,
whether or not it lasts long enough for an incident.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from fleet.domain.history.intervals import GOOD, Span


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """Uninterrupted time in which a node was not ready."""

    start: datetime
    """First moment of not ready."""
    end: datetime | None
    """End; None while it is current."""
    repaired_at: datetime | None
    """Moment of the repair; None where it is not repaired or unknown."""
    from_good: bool
    """Whether it was ready or degraded just before."""

    def lasts(self, now: datetime) -> timedelta:
        return (self.end or now) - self.start

    def is_incident(self, now: datetime, grace: timedelta) -> bool:
        return self.lasts(now) > grace

    def is_flap(self, within: timedelta) -> bool:
        return self.from_good and self.repaired_at is not None and self.repaired_at - self.start <= within


def stretches(spans: Sequence[Span]) -> list[Stretch]:
    """Returns every stretch among the spans of one node, oldest first."""
    rows: list[Stretch] = []
    number = 0
    while number < len(spans):
        if spans[number].verdict != "not_ready":
            number += 1
            continue
        last = number
        while _goes_on(spans, last) and spans[last + 1].verdict == "not_ready":
            last += 1
        rows.append(
            Stretch(
                start=spans[number].start,
                end=spans[last].end,
                repaired_at=_repaired_at(spans, last),
                from_good=number > 0 and _goes_on(spans, number - 1) and spans[number - 1].verdict in GOOD,
            )
        )
        number = last + 1
    return rows


def _goes_on(spans: Sequence[Span], number: int) -> bool:
    """Returns whether the next span begins where this one ends."""
    return number + 1 < len(spans) and spans[number].end == spans[number + 1].start


def _repaired_at(spans: Sequence[Span], last: int) -> datetime | None:
    while _goes_on(spans, last):
        last += 1
        if spans[last].verdict in GOOD:
            return spans[last].start
        if spans[last].verdict != "starting":
            return None
    return None
