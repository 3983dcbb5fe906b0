"""The drawing of new incidents over time: one block per incident, stacked in the interval of its first evidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from fleet.web.shell.time_range import TimeRange, stamp

MOST_HIGH = 6
"""Blocks in one interval; more are written as a number."""
WIDTH, BLOCK, GAP, AXIS, TOP = 960.0, 20.0, 3.0, 22.0, 14.0
_STEPS = (
    (timedelta(hours=1), timedelta(minutes=5)),
    (timedelta(hours=6), timedelta(minutes=15)),
    (timedelta(hours=36), timedelta(hours=1)),
    (timedelta(days=8), timedelta(hours=6)),
    (timedelta(days=31), timedelta(days=1)),
    (timedelta(days=400), timedelta(days=5)),
)


@dataclass(frozen=True, slots=True)
class Block:
    """One incident."""

    id: int
    severity: str
    open: bool
    x: float
    y: float
    width: float

    @property
    def mark_x(self) -> float:
        """Place of its shape."""
        return round(self.x + self.width / 2 - 6, 1)

    @property
    def mark_y(self) -> float:
        return self.y + 4

    @property
    def has_mark(self) -> bool:
        return self.width >= 14


@dataclass(frozen=True, slots=True)
class Interval:
    """One interval with incidents: a link to the list of them."""

    url: str
    since: datetime
    until: datetime
    count: int
    blocks: tuple[Block, ...]
    more: int
    x: float
    width: float

    @property
    def middle(self) -> float:
        return round(self.x + self.width / 2, 1)


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    at: datetime
    is_day: bool


@dataclass(frozen=True, slots=True)
class Hatch:
    """A stretch in which a cluster was unreachable."""

    x: float
    width: float
    label: str

    @property
    def middle(self) -> float:
        return round(self.x + self.width / 2, 1)


@dataclass(frozen=True, slots=True)
class IncidentChart:
    """The drawing, with the figures beside it."""

    step: timedelta
    intervals: tuple[Interval, ...]
    ticks: tuple[Tick, ...]
    hatches: tuple[Hatch, ...]
    height: float
    total: int
    severe: int
    """Fatal or critical."""
    warnings: int
    open: int
    resolved: int
    observed_from: datetime | None
    """Beginning of observed time, where it is after that of the axis."""

    @property
    def base(self) -> float:
        """Baseline of the blocks."""
        return self.height - AXIS

    @property
    def label_line(self) -> float:
        """Place of the times."""
        return self.height - 6


Began = tuple[int, str, datetime, bool]
"""Id, severity, first evidence, whether it is open."""


def chart(
    range_: TimeRange,
    began: Sequence[Began],
    gaps: Iterable[tuple[str, datetime, datetime]] = (),
    observed_from: datetime | None = None,
    kept: str = "",
) -> IncidentChart:
    """Returns the drawing of the incidents that began in the range. `gaps` are (cluster, since, until) of unreachable time."""
    step = next(step for longest, step in _STEPS if range_.length <= longest or longest == _STEPS[-1][0])
    start = _floor(range_.since, step)
    span = max((range_.until - start).total_seconds(), 1.0)

    def x(at: datetime) -> float:
        return round(WIDTH * min(max((at - start).total_seconds() / span, 0.0), 1.0), 1)

    by_step: dict[datetime, list[Began]] = defaultdict(list)
    for row in began:
        by_step[_floor(row[2], step)].append(row)
    tallest = min(max((len(rows) for rows in by_step.values()), default=1), MOST_HIGH)
    base = max(tallest, 3) * (BLOCK + GAP) + TOP
    width = WIDTH * step.total_seconds() / span
    intervals = []
    for since, rows in sorted(by_step.items()):
        shown = rows[:MOST_HIGH]
        wide = min(width - 2, 26.0)
        left = x(since) + (width - wide) / 2
        blocks = tuple(
            Block(pk, severity, is_open, round(left, 1), round(base - (place + 1) * (BLOCK + GAP), 1), round(wide, 1))
            for place, (pk, severity, _, is_open) in enumerate(shown)
        )
        query = urlencode({"began_since": stamp(since), "until": stamp(since + step), "status": "open,silenced,resolved"})
        url = f"?{kept}{'&' if kept else ''}{query}"
        intervals.append(Interval(url, since, since + step, len(rows), blocks, len(rows) - len(shown), x(since), round(width, 1)))
    hatches = [
        Hatch(x(since), round(x(until) - x(since), 1), f"{cluster} unreachable")
        for cluster, since, until in gaps
        if until > range_.since and since < range_.until
    ]
    if observed_from is not None and observed_from > range_.since:
        hatches.insert(0, Hatch(0.0, x(observed_from), "not observed"))
    severe = sum(1 for row in began if row[1] in ("fatal", "critical"))
    is_open = sum(1 for row in began if row[3])
    return IncidentChart(
        step=step,
        intervals=tuple(intervals),
        ticks=tuple(_ticks(start, range_.until, x)),
        hatches=tuple(hatches),
        height=base + AXIS,
        total=len(began),
        severe=severe,
        warnings=len(began) - severe,
        open=is_open,
        resolved=len(began) - is_open,
        observed_from=observed_from if observed_from is not None and observed_from > range_.since else None,
    )


_TICKS = tuple(timedelta(minutes=minutes) for minutes in (10, 30, 60, 180, 360, 720, 1_440, 2_880, 7_200, 14_400, 43_200, 86_400))


def _ticks(start: datetime, until: datetime, x: Callable[[datetime], float]) -> Iterable[Tick]:
    every = next((step for step in _TICKS if (until - start) / step <= 9), _TICKS[-1])
    at = _floor(start, every)
    while at < until:
        if at > start:
            yield Tick(x(at), at, at.hour == 0 and at.minute == 0)
        at += every


def _floor(at: datetime, step: timedelta) -> datetime:
    zero = datetime(2020, 1, 1, tzinfo=UTC)
    return zero + ((at - zero) // step) * step
