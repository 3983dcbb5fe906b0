"""Curves of measurements as paths of an SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Curve:
    """A series of (moment, value); None, or a gap longer than `gap`, breaks the line: nothing is drawn that was not measured."""

    points: Sequence[tuple[datetime, float | None]]
    start: datetime
    end: datetime
    low: float = 0.0
    high: float | None = None
    gap: timedelta = field(default=timedelta(minutes=20))


def curve_paths(curve: Curve, width: float, height: float, pad: float = 1.5) -> tuple[list[str], tuple[float, float] | None]:
    """SVG path data of every unbroken piece, and the place of the last value (None where it is older than the gap)."""
    whole = (curve.end - curve.start).total_seconds()
    known = [value for _, value in curve.points if value is not None]
    if not known or whole <= 0:
        return [], None
    high = curve.high if curve.high is not None else max([*known, curve.low + 1e-9])
    reach = (high - curve.low) or 1.0

    def place(at: datetime, value: float) -> tuple[float, float]:
        x = width * min(1.0, max(0.0, (at - curve.start).total_seconds() / whole))
        y = pad + (height - 2 * pad) * (1 - min(1.0, max(0.0, (value - curve.low) / reach)))
        return round(x, 1), round(y, 1)

    pieces: list[list[tuple[float, float]]] = []
    before: datetime | None = None
    last: tuple[datetime, float] | None = None
    for at, value in sorted(curve.points, key=lambda point: point[0]):
        if value is None or not curve.start <= at <= curve.end:
            before = None if value is None else before
            continue
        if before is None or at - before > curve.gap:
            pieces.append([])
        pieces[-1].append(place(at, value))
        before, last = at, (at, value)
    paths = []
    for piece in pieces:
        # a single sample is visible, too
        points = piece if len(piece) > 1 else [piece[0], (piece[0][0] + 0.8, piece[0][1])]
        paths.append("M" + "L".join(f"{x:g} {y:g}" for x, y in points))
    end = place(*last) if last is not None and curve.end - last[0] <= curve.gap else None
    return paths, end
