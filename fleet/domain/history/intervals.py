"""Verdict intervals of a node and their sums. Moments are aware datetimes; an open end is None."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

GOOD = frozenset({"ready", "degraded"})
VERDICTS = ("ready", "degraded", "not_ready", "starting", "unknown", "excluded")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Span(msgspec.Struct, frozen=True):
    """[start, end) in which a node had one verdict. Spans of one node are given oldest first and never overlap."""

    start: datetime
    end: datetime | None
    verdict: str


def second(at: datetime) -> int:
    """Returns the whole second since 1970 of `at`: differences of these add up, however an interval is split."""
    return (at - _EPOCH) // _SECOND


_SECOND = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC) - _EPOCH


def seconds(spans: Iterable[Span], since: datetime, until: datetime) -> dict[str, int]:
    """Returns whole seconds of each verdict within [since, until). Unknown verdict names count as unknown."""
    fromkeys = dict.fromkeys(VERDICTS, 0)
    for span in spans:
        start, end = max(span.start, since), min(span.end or until, until)
        if start < end:
            fromkeys[span.verdict if span.verdict in fromkeys else "unknown"] += second(end) - second(start)
    return fromkeys


def known(by_verdict: dict[str, int]) -> int:
    """Returns the seconds with a known verdict in which the node was meant to serve: neither unknown nor excluded."""
    return sum(by_verdict[verdict] for verdict in ("ready", "degraded", "not_ready", "starting"))


def availability(by_verdict: dict[str, int]) -> float | None:
    """Returns the percent of known time in which the node was ready or degraded; None where no time is known."""
    whole = known(by_verdict)
    return 100 * (by_verdict["ready"] + by_verdict["degraded"]) / whole if whole else None


def gaps(spans: Iterable[Span], since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
    """Returns the stretches of [since, until) of more than a second that no span covers."""
    rows, reached = [], since
    for span in spans:
        if span.start > reached + _SHORT:
            rows.append((reached, min(span.start, until)))
        reached = max(reached, span.end or until)
    if reached < until - _SHORT:
        rows.append((reached, until))
    return rows


def precedes_worse(at: datetime, spans: Iterable[Span]) -> bool:
    """Returns whether a verdict that is not good begins within a quarter of an hour after `at`."""
    return any(at <= span.start <= at + _SOON and span.verdict in _WORSE for span in spans)


_SHORT = timedelta(seconds=1)
_SOON = timedelta(minutes=15)
_WORSE = frozenset({"degraded", "not_ready", "unknown"})
