"""Tags of the readiness ladder: `{% load ladder_ui %}`. Strip, page card, funnel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from django import template
from django.urls import reverse

from fleet.domain.incidents.commands import steps_in_context
from fleet.domain.readiness.remedies import Step, parse_steps
from fleet.domain.readiness.wording import rung_title
from fleet.templatetags import formats, words

if TYPE_CHECKING:
    from fleet.selectors.nodes.ladder import Funnel, FunnelRung, LadderRow
    from fleet.selectors.nodes.views import RungView

register = template.Library()

# --- strip --------------------------------------------------------------------------------------------------------


class StripCell(NamedTuple):
    """One cell of components/_ladder_strip.html."""

    number: int
    status: str
    look: str
    glyph: str
    label: str


@register.simple_tag
def strip_cells(rungs: Iterable[RungView]) -> list[StripCell]:
    """Returns the cells of a node's strip."""
    cells = []
    for rung in rungs:
        status = rung.shown_status
        known = words.word("status", status)
        label = f"{rung.number} {rung_title(rung.id)}: {known.word.lower()}"
        cells.append(StripCell(rung.number, status, known.look, _GLYPHS.get(status, ""), label))
    return cells


_GLYPHS = {
    "warn": "triangle",
    "fail": "cross",
    "waiting": "half",
    "unknown": "query",
    "not_enabled": "query",
    "not_applicable": "dash",
}


# --- page card ----------------------------------------------------------------------------------------------------


@register.simple_tag
def rung_word(row: LadderRow) -> words.Word:
    """Returns the word of a rung: its status, or `Waived`."""
    return words.word("status", row.shown_status)


@register.simple_tag(takes_context=True)
def rung_line(context: template.Context, row: LadderRow) -> str:
    """One line of evidence; for a blocked rung the blocking rung, and its own last status."""
    now = context.get("now")
    if row.waiver and row.shown_status == "waived":
        return f"by {row.waiver.by or 'unknown'}: {row.waiver.reason or 'no reason given'}"
    if row.status != "blocked":
        return row.reason
    rows = [f"by rung {row.blocked_by}" if row.blocked_by is not None else "by an earlier rung"]
    if row.own_status and row.own_status != "blocked":
        rows.append(f"own status {words.word('status', row.own_status).word.lower()}")
    elif row.last_pass:
        rows.append(f"last pass {formats.clock(row.last_pass, now)}")
    return "; ".join(rows)


@register.filter
def remedy_steps(remedy: str, cluster: str = "") -> tuple[Step, ...]:
    """Returns the steps of a remedy, their commands for this cluster."""
    return steps_in_context(parse_steps(remedy), cluster)


# --- funnel -------------------------------------------------------------------------------------------------------


@register.simple_tag
def rung_url(rung: str, *values: str, cluster: str = "") -> str:
    """Returns the URL of the nodes with one of these statuses of a rung; as many as the funnel counts."""
    query = [("rung", f"{rung}:{item}") for item in values] + [("excluded", "false")]
    return f"{reverse('nodes')}?{urlencode([*query, *([('cluster', cluster)] if cluster else [])])}"


@register.simple_tag
def funnel_bar(rung: FunnelRung, counted: int) -> list[dict[str, object]]:
    """The bar of one rung as rects in percent of all counted nodes; values above 0 are at least 3 % wide."""
    passing = rung.by_status.get("pass", 0)
    order = [("pass", passing), *((status, rung.by_status.get(status, 0)) for status in _BAR)]
    shown = [(status, count) for status, count in order if count]
    if not counted:
        return []
    wide = [max(3.0, 100 * count / counted) for _, count in shown]
    scale = min(1.0, 100 / sum(wide)) if wide else 1.0
    rects, at = [], 0.0
    for (status, count), width in zip(shown, wide, strict=True):
        look = "is-pass" if status == "pass" else f"v-{words.word('status', status).look}"
        rects.append({"look": look, "x": round(at, 2), "width": round(width * scale, 2), "word": status, "count": count})
        at += width * scale
    return rects


_BAR = ("warn", "fail", "waiting", "unknown", "not_enabled", "waived")


@register.simple_tag
def funnel_stops(rung: FunnelRung) -> list[dict[str, object]]:
    """Nodes that stopped at a rung: [{status, count, word}], worst first; blocked nodes stopped earlier."""
    rows = []
    for status in _BAR:
        count = rung.by_status.get(status, 0)
        if count:
            rows.append({"status": status, "count": count, "word": words.word("status", status)})
    return rows


@register.simple_tag
def funnel_sentence(funnel: Funnel) -> str:
    """The note under the funnel: nodes that are not counted, and the meaning of n/a."""
    rows = [f"Of {formats.plural(funnel.counted + funnel.excluded + funnel.unjudged, 'node')}"]
    left_out = []
    if funnel.excluded:
        left_out.append(f"{formats.number(funnel.excluded)} excluded {'is' if funnel.excluded == 1 else 'are'} not counted")
    if funnel.unjudged:
        left_out.append(f"{formats.number(funnel.unjudged)} {'is' if funnel.unjudged == 1 else 'are'} not evaluated yet")
    parts = [f"{rows[0]}, {' and '.join(left_out)}."] if left_out else [f"{rows[0]}, all are counted."]
    if any(rung.by_status.get("not_applicable") for rung in funnel.rungs):
        parts.append("n/a: not verified.")
    if any(rung.by_status.get("waived") for rung in funnel.rungs):
        parts.append("Hollow: waived.")
    return " ".join(parts)


@register.filter
def first_optional(rungs: Sequence[FunnelRung]) -> int | None:
    """The number of the first rung that is not required by default: the dashed line is drawn before it."""
    return next((rung.number for rung in rungs if not rung.required), None)
