"""The history chart: readiness by group and day, the line of usable GPUs and the changes, on one time axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from fleet.domain.history.changes import Group
from fleet.selectors.history.availability_rows import Cell, HeatMap
from fleet.selectors.history.usable import Line, Point
from fleet.templatetags import formats
from fleet.web.charts import time_axis

Chart = dict[str, object]


class Band(NamedTuple):
    """One step of the heat map's scale: from so many percent of known time ready."""

    at_least: float
    word: str
    fill: str
    text: str
    """Colour of the number in the cell; empty where none is printed."""


BANDS = (
    Band(99.5, "99.5 % and more", "var(--heat-1)", ""),
    Band(98, "98 to 99.5", "var(--heat-2)", "var(--on-heat-2)"),
    Band(95, "95 to 98", "var(--heat-3)", "var(--on-heat-3)"),
    Band(90, "90 to 95", "var(--heat-4)", "var(--on-heat-4)"),
    Band(0, "below 90", "var(--heat-5)", "var(--on-heat-5)"),
)
_ROW, _LINE, _CHANGES, _GAP = 27, 116, 44, 26
_MOST_NUMBERS = 45  # cells of a row beyond which a cell has no room for its number
_HOUR = timedelta(hours=1)
Address = Callable[[str, datetime], str]


def unnamed(by: str) -> str:
    """Shown instead of a group's name if it is unknown."""
    return "in no pool" if by == "pool" else "unknown"


def step_words(step: timedelta) -> str:
    """Returns the length of a cell: `day`, `hour` or `15 min`."""
    return {timedelta(days=1): "day", _HOUR: "hour"}.get(step) or f"{step // timedelta(minutes=1)} min"


def band(percent: float) -> Band:
    return next(item for item in BANDS if percent >= item.at_least)


def history(
    heat: HeatMap, line: Line, groups: Sequence[Group], address: Address, *, ranked: bool, unobserved: bool = False
) -> Chart:
    """For components/_chart.html; `address` gives the page of the nodes behind a cell.

    Where too little was observed for a ranking (`ranked` is false), the sentence names no lowest group. `unobserved`: the map
    begins with the first observation, later than what was asked for; one hatched column before it says so.
    """
    rows = len(heat.rows)
    height = rows * _ROW + _LINE + _CHANGES + 2 * _GAP + 34
    plot = height - 34
    low, high = 1 - rows * _ROW / plot, 1 - (rows * _ROW + _GAP) / plot
    bottom = (_CHANGES + _GAP) / plot
    lowest = line.lowest if line.lowest and (line.lowest.usable or 100) < 99.5 else None
    cause = time_axis.cause_of(groups, lowest)
    begin, end = heat.starts[0] - (heat.step if unobserved else timedelta()), heat.starts[-1] + heat.step
    floor = time_axis.line_floor(line)
    layout = {
        "height": height,
        "margin": {"l": 8, "r": 74, "t": 26, "b": 8, "pad": 4},
        "barmode": "overlay",
        "hovermode": "closest",
        "xaxis": {
            "type": "date",
            "range": [time_axis.stamp(begin), time_axis.stamp(end)],
            "side": "top",
            "anchor": "y",
            **time_axis.ticks(heat.starts, heat.step),
        },
        "yaxis": {
            "domain": [low, 1],
            "range": [rows, 0],
            "tickvals": [number + 0.5 for number in range(rows)],
            "ticktext": [f"{_shown(heat, row.name)}  {row.nodes}" for row in heat.rows],
            "showgrid": False,
            "rangemode": "normal",
        },
        "yaxis2": {
            "domain": [bottom, high],
            "range": [floor, 100.5],
            "ticksuffix": " %",
            "nticks": 4,
            "gridcolor": "var(--grid)",
            "fixedrange": True,
            "tickfont": {"size": 11, "color": "var(--text-3)"},
            "zeroline": False,
            "anchor": "x",
        },
        "yaxis3": {
            "domain": [0, _CHANGES / plot],
            "range": [-1, 1],
            "tickvals": [0.35],
            "ticktext": ["Changes"],
            "tickfont": {"size": 11, "color": "var(--text-3)"},
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
            "anchor": "x",
        },
        "shapes": [time_axis.rule_at(cause, 0.68 * _CHANGES / plot)] if cause else [],
        "annotations": [*_totals(heat), *time_axis.line_notes(line, lowest, begin, end, high)],
        "meta": {
            "narrow": {
                "margin": {"l": 4, "r": 74, "t": 26, "b": 8, "pad": 2},
                "annotations": [*_totals(heat), time_axis.line_title("Usable GPUs", high)],
                "yaxis": {"ticktext": [formats.middle(_shown(heat, row.name), 12) for row in heat.rows]},
                "xaxis": {"nticks": 4, **time_axis.ticks(heat.starts, heat.step, most=5)},
            }
        },
    }
    return {
        "id": "history",
        "css": "chart__plot--grows",
        "sentence": _sentence(heat, lowest, cause, ranked=ranked),
        "figure": {
            "data": [
                *_cells(heat, address),
                *([_unobserved(heat)] if unobserved else []),
                *time_axis.line_traces(line, floor),
                *time_axis.change_markers(groups, cause, end - begin),
            ],
            "layout": layout,
        },
        "columns": ["Day" if heat.is_of_days else "From (UTC)", *(_shown(heat, row.name) for row in heat.rows)],
        "rows": [
            [
                f"{at:%Y-%m-%d}" if heat.is_of_days else f"{at:%Y-%m-%d %H:%M}",
                *(_cell_words(row.cells[number], address(row.name, at)) for row in heat.rows),
            ]
            for number, at in reversed(list(enumerate(heat.starts)))
        ],
    }


# --- the map ------------------------------------------------------------------------------------------------------


def _cells(heat: HeatMap, address: Address) -> list[dict[str, object]]:
    """One trace for each band, and one for what is unknown: hatched, with a question mark."""
    cells: dict[str, dict[str, list[str | float | list[str]]]] = {}
    for place, row in enumerate(heat.rows):
        for at, cell in zip(heat.starts, row.cells, strict=True):
            if cell is None:
                continue
            known = None if cell.is_unknown or cell.availability is None else cell.availability
            trace = cells.setdefault(
                "?" if known is None else band(known).word, {"x": [], "base": [], "text": [], "customdata": []}
            )
            trace["x"].append(time_axis.stamp(at + heat.step / 2))
            trace["base"].append(place + 0.05)
            trace["text"].append("?" if known is None else f"{time_axis.rounded(known):.1f}")
            trace["customdata"].append(
                [address(row.name, at), f"{_shown(heat, row.name)}, {time_axis.shown_step(at, heat.step)}: {_figure(cell)}"]
            )
    numbers = len(heat.starts) <= _MOST_NUMBERS
    looks: list[tuple[str, dict[str, object], str]] = [(item.word, {"color": item.fill}, item.text) for item in BANDS]
    looks.append(("?", {"color": "var(--surface-2)", "pattern": time_axis.PATTERN}, "var(--unknown-text)"))
    return [
        {
            "type": "bar",
            "name": word,
            **cells[word],
            "y": [0.9] * len(cells[word]["x"]),
            "width": 940 * heat.step.total_seconds(),
            "marker": {**marker, "line": {"width": 0}},
            "textposition": "inside" if numbers and colour else "none",
            "insidetextanchor": "middle",
            "textangle": 0,
            "constraintext": "none",
            "textfont": {"size": 11, "color": colour or "var(--text)"},
            "hovertemplate": "%{customdata[1]}<extra></extra>",
            "meta": "numbers",
        }
        for word, marker, colour in looks
        if word in cells
    ]


def _unobserved(heat: HeatMap) -> dict[str, object]:
    """One column over all rows before the first observation, hatched the other way than what is unknown."""
    return {
        "type": "bar",
        "name": "Not observed",
        "x": [time_axis.stamp(heat.starts[0] - heat.step / 2)],
        "base": [0.05],
        "y": [len(heat.rows) - 0.1],
        "width": 940 * heat.step.total_seconds(),
        "marker": {"color": "var(--surface-2)", "pattern": {**time_axis.PATTERN, "shape": "\\"}, "line": {"width": 0}},
        "customdata": [["", "Not observed: Muster’s first reading was later"]],
        "hovertemplate": "%{customdata[1]}<extra></extra>",
        "textposition": "none",
    }


def _shown(heat: HeatMap, name: str) -> str:
    return time_axis.shown_name(name) if name else unnamed(heat.by)


def _totals(heat: HeatMap) -> list[dict[str, object]]:
    return [
        {
            "xref": "paper", "x": 1, "xanchor": "left", "xshift": 8, "y": place + 0.5, "yref": "y", "showarrow": False,
            "text": "unknown" if row.total.availability is None else formats.percent(time_axis.rounded(row.total.availability)),
            "font": {"size": 12, "color": "var(--text)"},
        }
        for place, row in enumerate(heat.rows)
    ]  # fmt: skip


def _cell_words(cell: Cell | None, url: str) -> dict[str, str]:
    return {"text": "no node", "url": ""} if cell is None else {"text": _figure(cell), "url": url}


def _figure(cell: Cell) -> str:
    if cell.availability is None:
        return "unknown"
    ready = f"{formats.percent(time_axis.rounded(cell.availability))} ready"
    if cell.is_unknown:
        return f"mostly unknown ({formats.percent(cell.unknown)} of the time); {ready} of the rest"
    return ready + (f", {formats.percent(cell.unknown)} of the time unknown" if cell.unknown and cell.unknown >= 0.05 else "")


# --- words and time -----------------------------------------------------------------------------------------------


def _sentence(heat: HeatMap, lowest: Point | None, cause: Group | None, *, ranked: bool) -> str:
    worst = min(
        (row for row in heat.rows if row.total.availability is not None),
        key=lambda row: row.total.availability or 0,
        default=None,
    )
    if worst is None:
        return "No known time in any group."
    ready = formats.percent(time_axis.rounded(worst.total.availability or 0))
    text = "Less than a day was observed: groups are not ranked."
    if ranked:
        over = f" over {formats.plural(len(heat.starts), 'day')}" if heat.is_of_days else ""
        text = f"Lowest{over}: {_shown(heat, worst.name)}, {ready} ready."
    if lowest:
        on = time_axis.shown_day(lowest.at.astimezone(UTC).date())
        text += f" Fewest usable GPUs: {time_axis.dip(lowest)} UTC on {on}."
    if cause:
        text += f" Shortly before: {cause.title} on {formats.plural(len(cause.nodes), 'node')} of {cause.cluster}."
    return text
