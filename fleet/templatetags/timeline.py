"""Words of a timeline, and the drawing with them. The places come from domain/history/timeline_geometry.py."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from fleet.domain.history import timeline_geometry
from fleet.domain.history.timeline import Axis, Lane, LanePeriod, Mark
from fleet.templatetags import formats


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of a page at the moment `now`."""

    now: datetime

    def block(self, lane: Lane, span: LanePeriod) -> str:
        length = formats.duration(((span.end or self.now) - span.start).total_seconds())
        until = f"to {formats.moment(span.end, self.now)}" if span.end else "until now"
        label = f"{lane.title or lane.label}: {span.word}, {formats.moment(span.start, self.now)} {until}, {length}"
        return f"{label}. {span.detail}" if span.detail else label

    def mark(self, mark: Mark) -> str:
        return f"{formats.moment(mark.at)}: {mark.word}"

    def tick(self, at: datetime, *, is_day: bool) -> str:
        return formats.moment(at).rsplit(" ", 2)[0] if is_day else f"{at:%H:%M}"

    def guide(self, since: datetime) -> str:
        return formats.clock(since, self.now)

    def end(self, at: datetime) -> str:
        return f"now {formats.clock(at)}" if at == self.now else formats.clock(at, self.now)


def draw(
    axis: Axis, lanes: Iterable[Lane], now: datetime, since: datetime | None = None, at: datetime | None = None
) -> timeline_geometry.DrawnTimeline:
    """Draws lanes on one axis, in words; `since` and `at` as the geometry takes them."""
    return timeline_geometry.draw(axis, lanes, now, _Words(now), since=since, at=at)
