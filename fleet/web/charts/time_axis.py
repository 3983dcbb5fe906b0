"""Shared parts of the history charts: the line of usable GPUs, the changes, and the time axis."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from fleet.domain.devices.sources.gfd import short_form
from fleet.domain.history.changes import Group
from fleet.selectors.history.usable import Line, Point
from fleet.templatetags import formats

PATTERN = {"shape": "/", "fgcolor": "var(--unknown-fill)", "bgcolor": "var(--surface-2)", "size": 6, "solidity": 0.15}
_ROUND = tuple(timedelta(minutes=minutes) for minutes in (5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880))
_DIP_WITHIN = timedelta(hours=12)
_SYMBOLS = {
    "driver": "diamond",
    "stack": "diamond",
    "kernel": "diamond",
    "mig": "square",
    "capacity": "square",
    "taints": "triangle-up",
}


# --- the line -----------------------------------------------------------------------------------------------------


def line_floor(line: Line) -> float:
    """Beginning of the axis: a multiple of five below all values."""
    least = min((point.usable for point in line.points if point.usable is not None), default=95)
    return max(0.0, 5 * ((min(least, 95) - 1) // 5))


def line_traces(line: Line, floor: float) -> list[dict[str, object]]:
    if not line.points:
        return []
    xs: list[str] = []
    ys: list[float | None] = []
    for point in line.points:
        xs.append(stamp(point.at))
        ys.append(None if point.usable is None else round(point.usable, 2))
    xs.append(stamp(line.points[-1].at + line.step))
    ys.append(ys[-1])
    dark = [point for point in line.points if point.unknown >= 10]
    traces: list[dict[str, object]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": xs,
            "y": ys,
            "yaxis": "y2",
            "line": {"shape": "hv", "color": "var(--bar)", "width": 1.75},
            "connectgaps": False,
            "hovertemplate": "%{x|%d %b %H:%M}: %{y:.1f} % of expected physical GPUs usable<extra></extra>",
        }
    ]
    if dark:
        traces.append(
            {
                "type": "bar",
                "yaxis": "y2",
                "x": [stamp(point.at + line.step / 2) for point in dark],
                "base": [floor] * len(dark),
                "y": [100 - floor] * len(dark),
                "width": line.step.total_seconds() * 1000,
                "marker": {"color": "var(--surface-2)", "pattern": PATTERN, "line": {"width": 0}},
                "opacity": 0.7,
                "customdata": [["", f"{formats.percent(point.unknown)} of the expected physical GPUs unknown"] for point in dark],
                "hovertemplate": "%{customdata[1]}<extra></extra>",
                "textposition": "none",
            }
        )
    return traces


def line_title(text: str, top: float) -> dict[str, object]:
    """Above the line, whose axis begins at `top` of the paper."""
    return {
        "xref": "paper",
        "x": 0,
        "xanchor": "left",
        "yref": "paper",
        "y": top,
        "yanchor": "bottom",
        "yshift": 2,
        "showarrow": False,
        "text": text,
        "font": {"size": 11, "color": "var(--text-3)"},
    }


def line_notes(line: Line, lowest: Point | None, begin: datetime, end: datetime, top: float) -> list[dict[str, object]]:
    """The title of the line and the figures at its lowest and last point; `begin` and `end` are the ends of the axis."""
    notes = [line_title("Usable GPUs, % of expected; without unknown and excluded ones", top)]
    if lowest and lowest.usable is not None:
        # By the axis, not by the line: one that begins near the right edge has no room behind any of its points.
        right = lowest.at > begin + (end - begin) / 2
        notes.append(
            {
                "x": stamp(lowest.at),
                "y": lowest.usable,
                "yref": "y2",
                "showarrow": False,
                "xanchor": "right" if right else "left",
                "xshift": -8 if right else 8,
                "yshift": 6,
                "text": dip(lowest),
                "font": {"size": 12, "color": "var(--text)"},
                "bgcolor": "var(--surface)",
            }
        )
    if line.last and line.last.usable is not None and line.last != lowest:
        notes.append(
            {
                "xref": "paper",
                "x": 1,
                "xanchor": "left",
                "xshift": 8,
                "y": line.last.usable,
                "yref": "y2",
                "showarrow": False,
                "text": formats.percent(rounded(line.last.usable)),
                "font": {"size": 12, "color": "var(--text)"},
            }
        )
    return notes


def dip(point: Point) -> str:
    at = f"{point.at.astimezone(UTC):%H:%M}"
    if point.missing is None:
        return f"{formats.percent(point.usable)} at {at}"
    return f"{formats.percent(point.usable)}, {formats.plural(max(1, round(point.missing)), 'physical GPU')} missing at {at}"


# --- the changes --------------------------------------------------------------------------------------------------


def cause_of(groups: Sequence[Group], lowest: Point | None) -> Group | None:
    """The change with the most nodes in the hours before the lowest point; not what was only a change of labels."""
    if lowest is None:
        return None
    before = [
        group
        for group in groups
        if group.at <= lowest.at + timedelta(hours=1)
        and group.until >= lowest.at - _DIP_WITHIN
        and group.kind not in ("labels", "conditions", "joined", "left", "stack")
    ]
    return max(before, key=lambda row: len(row.nodes), default=None)


def change_markers(groups: Sequence[Group], cause: Group | None, span: timedelta) -> list[dict[str, object]]:
    shown = sorted(groups, key=lambda group: -len(group.nodes))[:40]
    if not shown:
        return []
    named: list[Group] = [cause] if cause in shown and cause is not None else []
    for item in shown:  # the largest first, as many as do not overlap
        if len(named) < 6 and all(abs(item.at - other.at) > span / 7 for other in named):
            named.append(item)
    return [
        {
            "type": "scatter",
            "mode": "markers+text",
            "yaxis": "y3",
            "x": [stamp(entry.at) for entry in shown],
            "y": [0.35] * len(shown),
            "text": [f"{row.kind}, {len(row.nodes)}" if row in named else "" for row in shown],
            "textposition": "bottom center",
            "textfont": {"size": 11, "color": "var(--text-2)"},
            "cliponaxis": False,
            "marker": {
                "color": ["var(--degraded-fill)" if result is cause else "var(--accent)" for result in shown],
                "size": [min(16, 7 + len(rows.nodes) ** 0.5) for rows in shown],
                "symbol": [_SYMBOLS.get(value.kind, "circle") for value in shown],
            },
            "customdata": [
                ["", f"{plain(values.title)}<br>{formats.plural(len(values.nodes), 'node')} of {plain(values.cluster)}"]
                for values in shown
            ],
            "hovertemplate": "%{x|%d %b %H:%M}: %{customdata[1]}<extra></extra>",
            "meta": "numbers",
        }
    ]


def rule_at(cause: Group, bottom: float) -> dict[str, object]:
    at = stamp(cause.at)
    line = {"color": "var(--degraded-fill)", "width": 1.5, "dash": "dash"}
    return {
        "type": "line",
        "xref": "x",
        "yref": "paper",
        "x0": at,
        "x1": at,
        "y0": bottom,
        "y1": 1,
        "line": line,
        "layer": "below",
    }


# --- the axis of time ---


def ticks(starts: Sequence[datetime], step: timedelta, most: int = 31) -> dict[str, object]:
    """Returns the labels of steps under their middle: days by number, hours and minutes by the clock (UTC)."""
    if step < timedelta(days=1):
        return _clock_ticks(starts, step, min(most, 13 if step < timedelta(hours=1) else 25))
    days = [at.astimezone(UTC).date() for at in starts]
    most = most if len(days) <= 31 else min(most, 13)  # whole dates take more room than the numbers of days
    every = max(1, -(-len(days) // most))
    shown = [day for number, day in enumerate(days) if (len(days) - 1 - number) % every == 0]
    words = [str(day.day) if day.day != 1 and number and every == 1 else shown_day(day) for number, day in enumerate(shown)]
    return {"tickvals": [stamp(midnight(day) + timedelta(hours=12)) for day in shown], "ticktext": words}


def _clock_ticks(starts: Sequence[datetime], step: timedelta, most: int) -> dict[str, object]:
    """Of hours under each, as far as there is room; of minutes where a round one begins. Midnight is the date."""
    every = next(each for each in _ROUND if each >= step and len(starts) * step <= most * each)
    seconds = int(every.total_seconds())
    shown = [at for at in starts if int(at.timestamp()) % seconds == 0] or list(starts[:1])
    form = "%H" if step == timedelta(hours=1) else "%H:%M"
    words = [
        shown_day(at.date()) if (at.hour, at.minute) == (0, 0) else f"{at:{form}}" for at in (at.astimezone(UTC) for at in shown)
    ]
    return {"tickvals": [stamp(at + step / 2) for at in shown], "ticktext": words}


def shown_step(at: datetime, step: timedelta) -> str:
    """Returns a step in words: `1 Dec`, or `1 Dec 11:00 to 11:15`."""
    at = at.astimezone(UTC)
    day = shown_day(at.date())
    return day if step >= timedelta(days=1) else f"{day} {at:%H:%M} to {at + step:%H:%M}"


def shown_name(name: str) -> str:
    return plain(short_form(name) or "unknown")


def plain(text: str) -> str:
    """Returns a text of a cluster escaped for Plotly, which interprets tags, links and entities."""
    return text.replace("<", "‹").replace(">", "›").replace("&", "＆")


def shown_day(day: date) -> str:
    return f"{day.day} {day:%b}"


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def stamp(at: datetime) -> str:
    """Returns a date for Plotly: without a zone, so that it is shown as UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def rounded(percent: float, digits: int = 1) -> float:
    """Rounded, but never up to 100."""
    step = 10**-digits
    return min(round(percent, digits), 100 - step) if percent < 100 else 100.0
