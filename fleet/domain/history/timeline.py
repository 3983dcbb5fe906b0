"""What a timeline shows: lanes of periods and moments of change on one axis. timeline_geometry.py says where each is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LanePeriod:
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
    spans: Sequence[LanePeriod] = ()
    marks: Sequence[Mark] = ()
    tall: bool = False
    """Periods fill the lane, passing ones too: the verdict."""
    words: str = "inside"
    """Where the words of blocks are drawn: inside, beside, or none."""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Axis:
    start: datetime
    end: datetime

    def place(self, at: datetime) -> float:
        """Percent of the axis; values outside are drawn at its edge."""
        whole = (self.end - self.start).total_seconds()
        share = (at - self.start).total_seconds() / whole if whole > 0 else 0.0
        return round(100 * min(1.0, max(0.0, share)), 3)

    def shows(self, at: datetime) -> bool:
        return self.start <= at <= self.end


def pack(spans: Sequence[LanePeriod], now: datetime, most: int) -> tuple[list[list[LanePeriod]], int]:
    """Spans into as few rows as keep them apart, at most `most`; and how many found no room."""
    rows: list[list[LanePeriod]] = []
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
