"""Verdicts over time as plain spans, and the sums over them. Moments are aware datetimes; an open end is None."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

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
    """The whole second since 1970 that `at` lies in: differences of these add up, however a stretch is cut."""
    return (at - _EPOCH) // _SECOND


_SECOND = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC) - _EPOCH


def seconds(spans: Iterable[Span], since: datetime, until: datetime) -> dict[str, int]:
    """Whole seconds of each verdict within [since, until). Verdicts nobody knows count as unknown."""
    found = dict.fromkeys(VERDICTS, 0)
    for span in spans:
        start, end = max(span.start, since), min(span.end or until, until)
        if start < end:
            found[span.verdict if span.verdict in found else "unknown"] += second(end) - second(start)
    return found


def known(by_verdict: dict[str, int]) -> int:
    """Seconds in which somebody knew how the node was and it was meant to serve: neither unknown nor excluded."""
    return sum(by_verdict[verdict] for verdict in ("ready", "degraded", "not_ready", "starting"))


def availability(by_verdict: dict[str, int]) -> float | None:
    """Percent of known time in which the node was ready or degraded; None where no time is known."""
    whole = known(by_verdict)
    return 100 * (by_verdict["ready"] + by_verdict["degraded"]) / whole if whole else None
