"""One day of one node in figures: what services/rollups.py asks the database for many nodes at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import msgspec

from fleet.domain.history.incidents import stretches
from fleet.domain.history.spans import Span, second, seconds


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds by verdict, and what began or was repaired on the day. Days are UTC's."""

    seconds: dict[str, int]
    incidents: int
    """That began on the day."""
    flaps: int
    """That began on the day."""
    down_s: int
    """Seconds of the day within incidents."""
    first_bad_at: datetime | None
    """When the first incident that began on the day began."""
    repaired: int
    """Incidents repaired on the day."""
    repair_s: int
    """Seconds these took from their beginning, whichever day that was."""


def day_of(spans: Sequence[Span], day: date, now: datetime, grace: timedelta, flap_within: timedelta) -> Day:
    """The day as far as it has passed at `now`."""
    since = datetime.combine(day, time(), UTC)
    until = min(since + timedelta(days=1), now)
    all_stretches = stretches(spans)
    incidents = [one for one in all_stretches if one.is_incident(now, grace)]
    began = [one for one in incidents if since <= one.start < until]
    repairs = [(one.start, at) for one in incidents if (at := one.repaired_at) is not None and since <= at < until]
    return Day(
        seconds=seconds(spans, since, until),
        incidents=len(began),
        flaps=sum(1 for one in all_stretches if since <= one.start < until and one.is_flap(flap_within)),
        down_s=sum(
            max(0, second(min(one.end or now, until)) - second(max(one.start, since)))
            for one in incidents
            if one.start < until and (one.end or now) > since
        ),
        first_bad_at=min((one.start for one in began), default=None),
        repaired=len(repairs),
        repair_s=sum(second(at) - second(start) for start, at in repairs),
    )
