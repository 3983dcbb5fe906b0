"""Tags of the readiness ladder: `{% load ladder_ui %}`. Strip, page card, funnel."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from django import template
from django.urls import reverse

from fleet.templatetags import formats, words

register = template.Library()

# --- strip --------------------------------------------------------------------------------------------------------


@register.simple_tag
def strip_cells(rungs: Iterable[Any]) -> list[dict[str, Any]]:
    """The cells of components/_ladder_strip.html: [{number, status, look, glyph, label}]; `rungs` as dicts or rows."""
    cells = []
    for one in rungs:
        get = one.get if isinstance(one, Mapping) else lambda name, row=one: getattr(row, name, None)
        waived = bool(get("waiver")) and get("status") not in ("pass", "warn")
        status = "waived" if waived else str(get("status"))
        known = words.word("status", status)
        cells.append({"number": get("number"), "status": status, "look": known.look, "glyph": _GLYPHS.get(status, ""),
                      "label": f"{get('number')} {get('id')}: {known.word.lower()}"})  # fmt: skip
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
def rung_word(row: Any) -> words.Word:
    """How a rung of the page card is called: its status, or `Waived` where somebody signed for it."""
    waived = row.waiver and row.status not in ("pass", "warn")
    return words.word("status", "waived" if waived else row.status)


@register.simple_tag(takes_context=True)
def rung_line(context: template.Context, row: Any) -> str:
    """One line of evidence: what was seen; for a blocked rung by which, and what was last seen of it."""
    now = context.get("now")
    if row.waiver and row.status not in ("pass", "warn"):
        return f"by {row.waiver.get('by') or 'somebody'}: {row.waiver.get('reason') or 'no reason given'}"
    if row.status != "blocked":
        return row.reason
    said = [f"by rung {row.blocked_by}" if row.blocked_by is not None else "by an earlier rung"]
    if row.own_status and row.own_status != "blocked":
        said.append(f"by itself {words.word('status', row.own_status).word.lower()}")
    elif row.last_pass:
        said.append(f"last pass {formats.clock(row.last_pass, now)}")
    return "; ".join(said)


@register.simple_tag
def remedy_steps(text: str) -> list[dict[str, str]]:
    """Steps out of a remedy's lines: [{text, command}]. A command stands in backticks, or behind a colon at a line's end."""
    steps = []
    for line in filter(None, (_NUMBER.sub("", line).strip() for line in (text or "").splitlines())):
        found = _TICKED.search(line) or _COMMAND.search(line)
        if found is None:
            steps.append({"text": line, "command": ""})
            continue
        before, after = line[: found.start()].rstrip(), line[found.end() :].strip(" .")
        said = before if not after else f"{before} … {after}"
        steps.append({"text": said, "command": found[1].strip()})
    return steps


_NUMBER = re.compile(r"^\s*(?:\d+[.)]|[-*])\s+")
_TICKED = re.compile(r"`([^`]+)`")
_COMMAND = re.compile(r"(?<=:)\s+((?:kubectl|helm|nvidia-smi|dcgmi|systemctl|sudo|modprobe|gcloud|aws|az)\s\S.*?)\.?$")


# --- funnel -------------------------------------------------------------------------------------------------------


@register.simple_tag
def rung_url(rung: str, *said: str, cluster: str = "") -> str:
    """The list of nodes of which a rung says one of these; as many as the funnel counts."""
    query = [("rung", f"{rung}:{one}") for one in said] + [("excluded", "false")]
    return f"{reverse('nodes')}?{urlencode([*query, *([('cluster', cluster)] if cluster else [])])}"


@register.simple_tag
def funnel_bar(rung: Any, counted: int) -> list[dict[str, Any]]:
    """The bar of one rung as rects in percent of all counted nodes; what is not 0 is at least 3 % wide."""
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
def funnel_stops(rung: Any) -> list[dict[str, Any]]:
    """What stopped at a rung: [{status, count, word}], worst order as everywhere; blocked nodes stopped earlier."""
    found = []
    for status in _BAR:
        count = rung.by_status.get(status, 0)
        if count:
            found.append({"status": status, "count": count, "word": words.word("status", status)})
    return found


@register.simple_tag
def funnel_sentence(funnel: Any) -> str:
    """The note under the funnel: who is not counted, and what n/a means."""
    said = [f"Of {formats.plural(funnel.counted + funnel.excluded + funnel.unjudged, 'node')}"]
    left_out = []
    if funnel.excluded:
        left_out.append(f"{formats.number(funnel.excluded)} excluded {'is' if funnel.excluded == 1 else 'are'} not counted")
    if funnel.unjudged:
        left_out.append(f"{formats.number(funnel.unjudged)} {'is' if funnel.unjudged == 1 else 'are'} not judged yet")
    parts = [f"{said[0]}, {' and '.join(left_out)}."] if left_out else [f"{said[0]}, all are counted."]
    if any(rung.by_status.get("not_applicable") for rung in funnel.rungs):
        parts.append("n/a: nothing has proved or disproved it.")
    if any(rung.by_status.get("waived") for rung in funnel.rungs):
        parts.append("Hollow: waived, somebody signed for it.")
    return " ".join(parts)


@register.filter
def first_optional(rungs: Sequence[Any]) -> int | None:
    """The number of the first rung that is not required by default: the dashed line stands before it."""
    return next((rung.number for rung in rungs if not rung.required), None)


@register.filter
def rung_number(funnel: Any, rung: str) -> int | None:
    """The number of a rung by its id, as the nodes themselves told it."""
    return next((one.number for one in funnel.rungs if one.id == rung), None)


@register.simple_tag
def worst_missing(missing: Iterable[Any], funnel: Any) -> list[Any]:
    """Reasons of missing cards: the most cards first; among equals what is broken before what waits, is unknown, or is meant."""
    rank = {verdict: place for place, verdict in enumerate(("not_ready", "degraded", "ready", "starting", "unknown", "excluded"))}
    number = {one.id: one.number for one in funnel.rungs}
    return sorted(missing, key=lambda one: (-one.count, rank.get(one.verdict, 9), number.get(one.broken_rung, 99)))
