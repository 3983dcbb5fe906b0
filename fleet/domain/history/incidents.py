"""Incidents, flaps and repairs, out of a node's verdicts over time.

A stretch is time without a break in which a node was not ready, whichever rung broke first. It is an incident once it is
longer than the grace. Starting, unknown and excluded time is no incident: it ends a stretch and is counted apart. A
stretch is repaired when the node is ready or degraded again, at once or after starting; where unknown or excluded time or
an absence comes between, nobody knows when it was repaired, if it was. A flap leaves ready or degraded and is repaired
within the time given for flaps, whether or not it lasts long enough for an incident.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from fleet.domain.history.spans import GOOD, Span


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """Time without a break in which a node was not ready."""

    start: datetime
    """The first bad moment."""
    end: datetime | None
    """None while it lasts."""
    repaired_at: datetime | None
    """When the node was good again; None where it is not, or nobody knows when."""
    from_good: bool
    """It was ready or degraded just before."""

    def lasts(self, now: datetime) -> timedelta:
        return (self.end or now) - self.start

    def is_incident(self, now: datetime, grace: timedelta) -> bool:
        return self.lasts(now) > grace

    def is_flap(self, within: timedelta) -> bool:
        return self.from_good and self.repaired_at is not None and self.repaired_at - self.start <= within


def stretches(spans: Sequence[Span]) -> list[Stretch]:
    """Every stretch among the spans of one node, oldest first."""
    found: list[Stretch] = []
    number = 0
    while number < len(spans):
        if spans[number].verdict != "not_ready":
            number += 1
            continue
        last = number
        while _goes_on(spans, last) and spans[last + 1].verdict == "not_ready":
            last += 1
        found.append(
            Stretch(
                start=spans[number].start,
                end=spans[last].end,
                repaired_at=_repaired_at(spans, last),
                from_good=number > 0 and _goes_on(spans, number - 1) and spans[number - 1].verdict in GOOD,
            )
        )
        number = last + 1
    return found


def _goes_on(spans: Sequence[Span], number: int) -> bool:
    """Whether the next span begins where this one ends."""
    return number + 1 < len(spans) and spans[number].end == spans[number + 1].start


def _repaired_at(spans: Sequence[Span], last: int) -> datetime | None:
    while _goes_on(spans, last):
        last += 1
        if spans[last].verdict in GOOD:
            return spans[last].start
        if spans[last].verdict != "starting":
            return None
    return None
