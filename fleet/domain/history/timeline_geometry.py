"""Geometry of a timeline: lanes of periods on one axis, marks and ticks, from moments to places.

Places are percent of the axis, so that a drawing stretches with the page while its lines stay sharp. Words come from the caller.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from fleet.domain.history.timeline import Axis, Lane, LanePeriod, Mark

PLOT_PX = 1000
"""Usual width of a plot; only to estimate which words fit."""
CHAR_PX = 6.4
NARROWEST = 0.3
"""Percent: a block of a minute in a month must still be visible."""


@dataclass(slots=True, kw_only=True)
class Block:
    """One period drawn. Places and widths are percent of the axis, heights pixels."""

    x: float
    width: float
    y: int
    height: int
    look: str
    thin: bool
    word: str
    text: str
    """The word where it fits inside, else empty."""
    start: datetime
    label: str
    beside: str = ""
    """The word where it is drawn beside the block, at `text_x`."""
    text_x: float = 0.0
    anchor: str = "start"


@dataclass(slots=True, kw_only=True)
class DrawnMark:
    """One moment of change drawn."""

    x: float
    y: int
    at: datetime
    shape: str
    amber: bool
    word: str
    label: str
    text: str = ""
    """The word where it fits, else empty."""
    anchor: str = "start"


@dataclass(frozen=True, slots=True)
class DrawnLane:
    label: str
    y: int
    blocks: list[Block]
    marks: list[DrawnMark]
    tall: bool


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    word: str
    odd: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnTimeline:
    """A timeline as components/_timeline.html takes it."""

    lanes: list[DrawnLane]
    ticks: list[Tick]
    height: int
    floor: int
    start: datetime
    end: datetime
    guide: float | None
    """Where the current problem began."""
    guide_word: str
    guide_early: bool
    at: float | None
    """The moment that the page shows."""
    end_word: str
    end_shown: bool


class Wording(Protocol):
    """The words of a drawing."""

    def block(self, lane: Lane, span: LanePeriod) -> str:
        """Returns what a period is, in a sentence: its label for screen readers and on hover."""

    def mark(self, mark: Mark) -> str:
        """Returns the same of a moment of change."""

    def tick(self, at: datetime, *, is_day: bool) -> str:
        """Returns a round moment of the axis: a time of day, or a day."""

    def guide(self, since: datetime) -> str:
        """Returns the moment at which the current problem began."""

    def end(self, at: datetime) -> str:
        """Returns the end of the axis."""


def draw(
    axis: Axis,
    lanes: Iterable[Lane],
    now: datetime,
    wording: Wording,
    *,
    since: datetime | None = None,
    at: datetime | None = None,
) -> DrawnTimeline:
    """Draws lanes on one axis.

    `since` is when the current problem began, if there is one: it gets a guide; `at` is the moment of the past that the page
    shows.
    """
    top, drawn = 24, []
    for lane in lanes:
        height = 22 if lane.tall else 20
        drawn.append(_lane(axis, lane, (top, height), now, wording))
        top += height + (4 if lane.tall else 0)
    guide = axis.place(since) if since is not None and axis.shows(since) else None
    shown_at = axis.place(at) if at is not None and axis.shows(at) else None
    return DrawnTimeline(
        lanes=drawn,
        ticks=_ticks(axis, wording),
        height=top + 18,
        floor=top,
        start=axis.start,
        end=axis.end,
        guide=guide,
        guide_word=wording.guide(since) if since is not None and guide is not None else "",
        guide_early=guide is not None and guide > 85,
        at=shown_at,
        end_word=wording.end(axis.end),
        end_shown=max(guide or 0.0, shown_at or 0.0) < 92,
    )


def _lane(axis: Axis, lane: Lane, place: tuple[int, int], now: datetime, wording: Wording) -> DrawnLane:
    """Draws a lane at `place` (top and height, pixels)."""
    middle = place[0] + place[1] // 2
    shown = [span for span in lane.spans if (span.end or now) > axis.start and span.start < axis.end]
    blocks = [_block(axis, span, lane, middle, now, wording) for span in sorted(shown, key=lambda span: span.start)]
    if lane.words == "beside":
        _words_beside(blocks)
    marks = [_mark(axis, mark, middle, wording) for mark in sorted(lane.marks, key=lambda mark: mark.at) if axis.shows(mark.at)]
    _words_of_marks(marks)
    return DrawnLane(lane.label, middle, blocks, marks, lane.tall)


def _block(axis: Axis, span: LanePeriod, lane: Lane, middle: int, now: datetime, wording: Wording) -> Block:
    x = axis.place(span.start)
    width = axis.place(span.end or now) - x
    thin = span.quiet and not lane.tall
    if not thin and width < NARROWEST:
        x, width = max(0.0, min(x, 100 - NARROWEST)), NARROWEST
    tall = 14 if lane.tall else 4 if thin else 12
    fits = width / 100 * PLOT_PX > CHAR_PX * len(span.word) + 30
    return Block(
        x=round(x, 3),
        width=round(width, 3),
        y=middle - tall // 2,
        height=tall,
        look=span.look,
        thin=thin,
        word=span.word,
        text=span.word if fits and not thin and lane.words == "inside" else "",
        start=max(span.start, axis.start),
        label=wording.block(lane, span),
    )


def _words_beside(blocks: list[Block]) -> None:
    """Puts the word of each block to its right, else to its left, where nothing else is."""
    taken = 0.0
    for place, block in enumerate(blocks):
        right = block.x + block.width
        following = blocks[place + 1].x if place + 1 < len(blocks) else 100.0
        need = 100 * (CHAR_PX * len(block.word) + 12) / PLOT_PX
        if following - right >= need:
            block.beside, block.text_x, block.anchor = block.word, right, "start"
            taken = right + need
        elif block.x - taken >= need:
            block.beside, block.text_x, block.anchor = block.word, block.x, "end"
            taken = right
        else:
            taken = right


def _mark(axis: Axis, mark: Mark, middle: int, wording: Wording) -> DrawnMark:
    return DrawnMark(
        x=axis.place(mark.at),
        y=middle,
        at=mark.at,
        shape=_MARKS.get(mark.kind, "diamond"),
        amber=mark.amber,
        word=mark.word,
        label=wording.mark(mark),
    )


_MARKS = {
    "driver": "diamond",
    "stack": "diamond",
    "geometry": "square",
    "devices": "square",
    "labels": "disc",
    "taints": "triangle",
}


def _words_of_marks(marks: list[DrawnMark]) -> None:
    taken = 0.0
    for place, mark in enumerate(marks):
        following = marks[place + 1].x if place + 1 < len(marks) else 100.0
        need = 100 * (CHAR_PX * len(mark.word) + 22) / PLOT_PX
        if following - mark.x >= need:
            mark.text, taken = mark.word, mark.x + need
        elif mark.x - taken >= need and place + 1 == len(marks):
            mark.text, mark.anchor, taken = mark.word, "end", mark.x
        else:
            taken = mark.x + 1


_STEPS = (
    (timedelta(hours=2), 15),
    (timedelta(hours=30), 4 * 60),
    (timedelta(days=9), 24 * 60),
    (timedelta(days=45), 5 * 24 * 60),
)


def _ticks(axis: Axis, wording: Wording) -> list[Tick]:
    """Returns round moments in UTC, at most nine."""
    length = axis.end - axis.start
    minutes = next((step for longest, step in _STEPS if length <= longest), 30 * 24 * 60)
    step = timedelta(minutes=minutes)
    day = axis.start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    at = day + step * max(0, int((axis.start - day) / step))
    ticks: list[Tick] = []
    while at <= axis.end:
        if at > axis.start:
            word = wording.tick(at, is_day=minutes >= 24 * 60)
            ticks.append(Tick(axis.place(at), word, odd=len(ticks) % 2 == 1))
        at += step
    return [tick for tick in ticks if tick.x < 97.5]
