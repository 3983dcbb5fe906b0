"""Bad verdicts worth a notification: those that last longer than the grace.

Computed from the periods, so the result is the same whenever it is computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import msgspec

GOOD = ("ready", "degraded")
BAD = ("not_ready", "unknown")
"""Verdicts that are reported. Starting and excluded are not: the node is being worked on."""


class Stood(msgspec.Struct, frozen=True):
    """One period with one verdict; `ended` is None while it is current."""

    verdict: str
    began: datetime
    ended: datetime | None


def news(periods: Iterable[Stood], grace: timedelta) -> dict[datetime, str]:
    """Returns the moments at which reportable verdicts begin, each with its verdict, from one node's periods in order.

    A run of bad verdicts without a break counts once it has lasted longer than `grace`, from its first moment and with the
    verdict at the end of the grace. Within a run, another bad verdict that lasts that long is reported again.
    """
    fields: dict[datetime, str] = {}
    for run in _runs(_merged(periods)):
        began, ended = run[0].began, run[-1].ended
        if ended is not None and ended - began <= grace:
            continue
        due = began + grace
        last = next(part for part in reversed(run) if part.began <= due).verdict
        fields[began] = last
        for part in run:
            lasts = part.ended is None or part.ended - part.began > grace
            if part.began > due and part.verdict != last and lasts:
                fields[part.began] = last = part.verdict
    return fields


def _merged(periods: Iterable[Stood]) -> Iterator[Stood]:
    """Yields adjacent periods of one verdict merged: they differ in rung or reason only."""
    held: Stood | None = None
    for period in periods:
        if held is not None and held.verdict == period.verdict and held.ended == period.began:
            held = Stood(held.verdict, held.began, period.ended)
            continue
        if held is not None:
            yield held
        held = period
    if held is not None:
        yield held


def _runs(periods: Iterable[Stood]) -> Iterator[list[Stood]]:
    """Yields runs of bad verdicts that follow each other without a gap."""
    run: list[Stood] = []
    for period in periods:
        if run and (period.verdict not in BAD or run[-1].ended != period.began):
            yield run
            run = []
        if period.verdict in BAD:
            run.append(period)
    if run:
        yield run
