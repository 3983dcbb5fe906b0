"""Time drawn: lanes of periods on one axis, marks, ticks, and curves.

Pure functions from moments to places in percent, so that a drawing stretches with the page while its lines stay sharp.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fleet.templatetags import formats

PLOT_PX = 1000
"""How wide a plot usually is; only to guess which words fit."""
CHAR_PX = 6.4
NARROWEST = 0.3
"""Percent: a block of a minute in a month must still be seen."""


@dataclass(frozen=True, slots=True)
class Span:
    """One period in a lane. `look` is a `v-*` look; a quiet one is a thin line, anything else a block."""

    start: datetime
    end: datetime | None
    look: str
    word: str
    detail: str = ""
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment at which something changed. `kind` is driver, geometry, labels, taints, joined, left …"""

    at: datetime
    kind: str
    word: str
    amber: bool = False


@dataclass(frozen=True, slots=True)
class Lane:
    label: str
    spans: Sequence[Span] = ()
    marks: Sequence[Mark] = ()
    tall: bool = False
    """Periods fill the lane, passing ones too: the verdict."""
    words: str = "inside"
    """Where the words of blocks stand: inside, beside, or none."""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Axis:
    start: datetime
    end: datetime

    def place(self, at: datetime) -> float:
        """Percent of the axis; what lies outside stands at its edge."""
        whole = (self.end - self.start).total_seconds()
        share = (at - self.start).total_seconds() / whole if whole > 0 else 0.0
        return round(100 * min(1.0, max(0.0, share)), 3)

    def shows(self, at: datetime) -> bool:
        return self.start <= at <= self.end


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
class Drawn:
    """A timeline as components/_timeline.html takes it."""

    lanes: list[DrawnLane]
    ticks: list[Tick]
    height: int
    floor: int
    start: datetime
    end: datetime
    guide: float | None
    """Where the current trouble began."""
    guide_word: str
    guide_early: bool
    at: float | None
    """The moment that the page shows."""
    end_word: str
    end_shown: bool


def draw(axis: Axis, lanes: Iterable[Lane], now: datetime, since: datetime | None = None, at: datetime | None = None) -> Drawn:
    """Draws lanes on one axis.

    `since` is the moment the current trouble began, if any: it gets a guide; `at` is the moment of the past that the page
    shows.
    """
    top, drawn = 24, []
    for lane in lanes:
        height = 22 if lane.tall else 20
        drawn.append(_lane(axis, lane, top, height, now))
        top += height + (4 if lane.tall else 0)
    guide = axis.place(since) if since is not None and axis.shows(since) else None
    shown_at = axis.place(at) if at is not None and axis.shows(at) else None
    return Drawn(
        lanes=drawn,
        ticks=_ticks(axis),
        height=top + 18,
        floor=top,
        start=axis.start,
        end=axis.end,
        guide=guide,
        guide_word=formats.clock(since, now) if guide is not None else "",
        guide_early=guide is not None and guide > 85,
        at=shown_at,
        end_word=f"now {formats.clock(axis.end)}" if axis.end == now else formats.clock(axis.end, now),
        end_shown=max(guide or 0.0, shown_at or 0.0) < 92,
    )


def _lane(axis: Axis, lane: Lane, top: int, height: int, now: datetime) -> DrawnLane:
    middle = top + height // 2
    shown = [span for span in lane.spans if (span.end or now) > axis.start and span.start < axis.end]
    blocks = [_block(axis, span, lane, middle, now) for span in sorted(shown, key=lambda span: span.start)]
    if lane.words == "beside":
        _words_beside(blocks)
    marks = [_mark(axis, mark, middle) for mark in sorted(lane.marks, key=lambda mark: mark.at) if axis.shows(mark.at)]
    _words_of_marks(marks)
    return DrawnLane(lane.label, middle, blocks, marks, lane.tall)


def _block(axis: Axis, span: Span, lane: Lane, middle: int, now: datetime) -> Block:
    x = axis.place(span.start)
    width = axis.place(span.end or now) - x
    thin = span.quiet and not lane.tall
    if not thin and width < NARROWEST:
        x, width = max(0.0, min(x, 100 - NARROWEST)), NARROWEST
    tall = 14 if lane.tall else 4 if thin else 12
    fits = width / 100 * PLOT_PX > CHAR_PX * len(span.word) + 30
    length = ((span.end or now) - span.start).total_seconds()
    until = f"to {formats.moment(span.end, now)}" if span.end else "until now"
    label = f"{lane.title or lane.label}: {span.word}, {formats.moment(span.start, now)} {until}, {formats.duration(length)}"
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
        label=f"{label}. {span.detail}" if span.detail else label,
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


def _mark(axis: Axis, mark: Mark, middle: int) -> DrawnMark:
    return DrawnMark(
        x=axis.place(mark.at),
        y=middle,
        at=mark.at,
        shape=_MARKS.get(mark.kind, "diamond"),
        amber=mark.amber,
        word=mark.word,
        label=f"{formats.moment(mark.at)}: {mark.word}",
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


def _ticks(axis: Axis) -> list[Tick]:
    """Returns round moments in UTC, at most nine."""
    length = axis.end - axis.start
    minutes = next((step for longest, step in _STEPS if length <= longest), 30 * 24 * 60)
    step = timedelta(minutes=minutes)
    day = axis.start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    at = day + step * max(0, int((axis.start - day) / step))
    ticks: list[Tick] = []
    while at <= axis.end:
        if at > axis.start:
            word = f"{at:%H:%M}" if minutes < 24 * 60 else formats.moment(at).rsplit(" ", 2)[0]
            ticks.append(Tick(axis.place(at), word, odd=len(ticks) % 2 == 1))
        at += step
    return [tick for tick in ticks if tick.x < 97.5]


# --- packing ------------------------------------------------------------------------------------------------------


def pack(spans: Sequence[Span], now: datetime, most: int) -> tuple[list[list[Span]], int]:
    """Spans into as few rows as keep them apart, at most `most`; and how many found no room."""
    rows: list[list[Span]] = []
    left = 0
    for span in sorted(spans, key=lambda item: item.start):
        row = next((row for row in rows if (row[-1].end or now) <= span.start), None)
        if row is not None:
            row.append(span)
        elif len(rows) < most:
            rows.append([span])
        else:
            left += 1
    return rows, left


# --- curves -------------------------------------------------------------------------------------------------------
