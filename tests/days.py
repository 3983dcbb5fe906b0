"""Figures of one node on one day, as services/rollups.py computes them for many nodes at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import msgspec

from fleet.domain.history.incidents import stretches
from fleet.domain.history.intervals import Span, second, seconds


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds by verdict, and incidents that began or were repaired on the day. Days are UTC's."""

    seconds: dict[str, int]
    incidents: int
    """That began on the day."""
    flaps: int
    """That began on the day."""
    down_s: int
    """Seconds of the day within incidents."""
    first_bad_at: datetime | None
    """Beginning of the day's first incident."""
    repaired: int
    """Incidents repaired on the day."""
    repair_s: int
    """Seconds from the beginning of these incidents to their repair, whichever day they began."""


def day_of(spans: Sequence[Span], day: date, now: datetime, grace: timedelta, flap_within: timedelta) -> Day:
    """Returns the day's figures up to `now`."""
    since = datetime.combine(day, time(), UTC)
    until = min(since + timedelta(days=1), now)
    bad = stretches(spans)
    incidents = [stretch for stretch in bad if stretch.is_incident(now, grace)]
    began = [incident for incident in incidents if since <= incident.start < until]
    repairs = [(item.start, at) for item in incidents if (at := item.repaired_at) is not None and since <= at < until]
    return Day(
        seconds=seconds(spans, since, until),
        incidents=len(began),
        flaps=sum(1 for stretch in bad if since <= stretch.start < until and stretch.is_flap(flap_within)),
        down_s=sum(
            max(0, second(min(row.end or now, until)) - second(max(row.start, since)))
            for row in incidents
            if row.start < until and (row.end or now) > since
        ),
        first_bad_at=min((incident.start for incident in began), default=None),
        repaired=len(repairs),
        repair_s=sum(second(at) - second(start) for start, at in repairs),
    )
