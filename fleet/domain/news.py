"""Which bad verdicts are news: a node that was out of ready for less than the grace is not worth waking anybody.

Judged from the periods themselves, so the answer is the same whenever it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import msgspec

GOOD = ("ready", "degraded")
BAD = ("not_ready", "unknown")
"""Starting and excluded are neither: somebody or something is at work on the node."""


class Stood(msgspec.Struct, frozen=True):
    """One period in which a node's verdict stood; `ended` is None while it is the present one."""

    verdict: str
    began: datetime
    ended: datetime | None


def news(periods: Iterable[Stood], grace: timedelta) -> dict[datetime, str]:
    """The moments at which bad news begins, each with the verdict to tell, out of one node's periods in order.

    A run of bad verdicts without a break counts once it has lasted longer than `grace`, as of its first moment and with
    the verdict that stands when the grace is over. Within a run, another bad verdict that lasts that long is news again.
    """
    told: dict[datetime, str] = {}
    for run in _runs(_merged(periods)):
        began, ended = run[0].began, run[-1].ended
        if ended is not None and ended - began <= grace:
            continue
        due = began + grace
        last = next(part for part in reversed(run) if part.began <= due).verdict
        told[began] = last
        for part in run:
            lasts = part.ended is None or part.ended - part.began > grace
            if part.began > due and part.verdict != last and lasts:
                told[part.began] = last = part.verdict
    return told


def _merged(periods: Iterable[Stood]) -> Iterator[Stood]:
    """Neighbours of one verdict as one: they differ in rung or reason only."""
    held: Stood | None = None
    for one in periods:
        if held is not None and held.verdict == one.verdict and held.ended == one.began:
            held = Stood(held.verdict, held.began, one.ended)
            continue
        if held is not None:
            yield held
        held = one
    if held is not None:
        yield held


def _runs(periods: Iterable[Stood]) -> Iterator[list[Stood]]:
    """Stretches of bad verdicts that follow each other without a gap."""
    run: list[Stood] = []
    for one in periods:
        if run and (one.verdict not in BAD or run[-1].ended != one.began):
            yield run
            run = []
        if one.verdict in BAD:
            run.append(one)
    if run:
        yield run
