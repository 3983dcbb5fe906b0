"""Tags of a node's time: `{% load node_time %}`. They turn what selectors.history tells into lanes and rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.template import Context

from fleet.templatetags import formats, timeline, words

register = template.Library()

MOST_FINDING_ROWS = 4
_QUIET = frozenset({"pass", "not_applicable"})
_SEVERITY_LOOK = {"fatal": "not_ready", "critical": "not_ready", "warning": "degraded", "info": "excluded"}
_KINDS = (
    # what a changed key is about, its mark, and whether it is worth a name of its own
    ("labels", "nvidia.com/cuda.driver", "driver", "driver"),
    ("labels", "nvidia.com/mig.config", "geometry", "MIG layout"),
    ("labels", "nvidia.com/mig", "geometry", ""),
    ("stack", "", "stack", ""),
    ("devices", "", "devices", ""),
    ("taints", "", "taints", "taint"),
    ("capacity", "", "devices", "capacity"),
    ("allocatable", "", "devices", "allocatable"),
    ("labels", "", "labels", "label"),
)


@register.simple_tag(takes_context=True)
def node_timeline(
    context: Context, past: Any, numbers: Mapping[str, int], at: datetime | None = None, born: datetime | None = None
) -> dict[str, Any]:
    """What components/_timeline.html takes of a selectors.history.NodeTimeline: {drawn, rows, sentence, more}.

    `numbers` is rung id to number; `at` the moment of the past that the page shows; before `born` nobody
    knew of the node, so nothing is drawn there.
    """
    now: datetime = context["now"]
    at = at or None  # a template's missing variable is an empty text
    end = min(past.until, now)
    axis = timeline.Axis(past.since, end)
    findings, more = timeline.pack([_finding(one) for one in past.findings], now, MOST_FINDING_ROWS)
    lanes = [
        timeline.Lane("Verdict", _with_gaps(past, axis, now, born), tall=True),
        *_rung_lanes(past, numbers),
        *(
            timeline.Lane("Findings" if not place else "", row, words="beside", title="Finding")
            for place, row in enumerate(findings or [[]])
        ),
        timeline.Lane("Changes", marks=[_mark(one, past) for one in past.changes]),
    ]
    last = past.verdicts[-1] if past.verdicts else None
    broke = last.since if last is not None and last.until is None and last.verdict not in ("ready", "excluded") else None
    return {
        "drawn": timeline.draw(axis, lanes, now, broke if at is None else None, at),
        "rows": _rows(past, now),
        "sentence": _sentence(past, axis, now, born),
        "more": more,
    }


def _with_gaps(past: Any, axis: timeline.Axis, now: datetime, born: datetime | None) -> list[timeline.Span]:
    """Verdicts, and the time in which nothing was judged: it is unknown, never a hole that reads as quiet."""
    spans: list[timeline.Span] = []
    reached = max(axis.start, born) if born is not None else axis.start
    for one in past.verdicts:
        if one.since > reached + timedelta(seconds=1):
            spans.append(timeline.Span(reached, one.since, "unknown", "Not judged"))
        known = words.word("verdict", one.verdict)
        detail = f"{one.broken_rung}: {one.reason}" if one.broken_rung else one.reason
        spans.append(timeline.Span(one.since, one.until, known.look, known.word, detail, quiet=one.verdict == "ready"))
        reached = max(reached, one.until or now)
    if reached < axis.end - timedelta(seconds=1):
        spans.append(timeline.Span(reached, axis.end, "unknown", "Not judged"))
    return spans


def _rung_lanes(past: Any, numbers: Mapping[str, int]) -> list[timeline.Lane]:
    """The rungs that were anything but quiet at some time in the window, highest first, as they are read up the ladder."""
    by_rung: dict[str, list[Any]] = {}
    for one in past.rungs:
        by_rung.setdefault(one.rung, []).append(one)
    lanes = []
    for rung in sorted(by_rung, key=lambda rung: -numbers.get(rung, 99)):
        if all(one.status in _QUIET or one.status == "blocked" for one in by_rung[rung]):
            continue
        spans = []
        for one in by_rung[rung]:
            known = words.word("status", one.status)
            look = known.look if one.status not in ("not_applicable",) else "unknown"
            spans.append(timeline.Span(one.since, one.until, look, known.word, one.reason, one.status in (*_QUIET, "blocked")))
        number = numbers.get(rung)
        lanes.append(
            timeline.Lane(f"{number if number is not None else ''} {_short(rung)}".strip(), spans, words="none", title=rung)
        )
    return lanes


_SHORT = {
    "kubelet_ready": "kubelet",
    "gpu_present": "present",
    "driver_loaded": "driver",
    "container_runtime": "runtime",
    "cuda_works": "cuda",
    "resources_advertised": "advertised",
    "labels_accurate": "labels",
    "telemetry_healthy": "telemetry",
    "model_server_starts": "starts",
    "model_serves": "serves",
}


def _short(rung: str) -> str:
    """A rung's id where only a word fits; the whole id is in its title."""
    return _SHORT.get(rung, formats.middle(rung.replace("_", " "), 12))


def _finding(one: Any) -> timeline.Span:
    look = _SEVERITY_LOOK.get(one.severity, "unknown")
    told = f"{words.word('severity', one.severity).word}: {one.text}"
    return timeline.Span(one.since, one.until, look, formats.middle(one.text.rstrip("."), 42), told)


def _mark(change: Any, past: Any) -> timeline.Mark:
    """One moment of change; amber where a worse verdict follows within a quarter of an hour."""
    kind, word = "labels", "first seen with these facts"
    if change.changes:
        kind, word = _told(change.changes)
    worse = any(
        change.at <= one.since <= change.at + timedelta(minutes=15) and one.verdict in ("degraded", "not_ready", "unknown")
        for one in past.verdicts
    )
    return timeline.Mark(change.at, kind, word, worse)


def _told(changes: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """The kind of a set of changes and its most telling one in words."""
    for section, prefix, kind, noun in _KINDS:
        for one in changes:
            if one["section"] == section and one["key"].startswith(prefix):
                more = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
                return kind, formats.middle(change_words(one, noun), 40) + more
    return "labels", change_words(changes[0], changes[0]["section"])


@register.filter
def change_words(one: Mapping[str, Any], noun: str = "") -> str:
    """`driver 570.172.08 → 580.95.05`, `label team=inference`, `taint x:NoSchedule gone`."""
    name = noun if noun in ("driver", "MIG layout", "allocatable", "capacity") else f"{noun} {one['key']}".strip()
    before, after = one.get("before"), one.get("after")
    if before is None:
        return f"{name}={after}" if after else f"{name} added"
    if after is None:
        return f"{name} gone"
    return f"{name} {before} → {after}"


# --- in words -----------------------------------------------------------------------------------------------------


def _rows(past: Any, now: datetime) -> list[dict[str, Any]]:
    rows = [_row(one, "Verdict", words.word("verdict", one.verdict).word, one.broken_rung, one.reason) for one in past.verdicts]
    rows += [
        _row(one, one.rung, words.word("status", one.status).word, "", one.reason)
        for one in past.rungs
        if one.status not in ("pass", "blocked", "not_applicable")
    ]
    rows += [_row(one, f"{words.word('severity', one.severity).word} finding", "", "", one.text) for one in past.findings]
    rows += [
        {"at": one.at, "until": None, "moment": True, "lane": "Change", "text": _changes_text(one.changes)}
        for one in past.changes
    ]
    return sorted(rows, key=lambda row: row["at"], reverse=True)


def _row(one: Any, lane: str, word: str, rung: str, reason: str) -> dict[str, Any]:
    told = ", ".join(part for part in (word, rung) if part)
    text = f"{told}: {reason}" if told and reason else told or reason
    return {"at": one.since, "until": one.until, "moment": False, "lane": lane, "text": text}


def _changes_text(changes: Sequence[Mapping[str, Any]]) -> str:
    if not changes:
        return "First seen with these facts"
    told = "; ".join(change_words(one, one["section"]) for one in changes[:4])
    return told + (f" and {len(changes) - 4} more" if len(changes) > 4 else "")


def _sentence(past: Any, axis: timeline.Axis, now: datetime, born: datetime | None) -> str:
    """The timeline for those who do not see it: shares of time, and how often things changed."""
    start = max(axis.start, born) if born is not None else axis.start
    whole = max(0.0, (axis.end - start).total_seconds())
    ready = known = 0.0
    for one in past.verdicts:
        seconds = (min(one.until or now, axis.end) - max(one.since, axis.start)).total_seconds()
        if seconds > 0 and one.verdict not in ("unknown", "excluded"):
            known += seconds
            ready += seconds if one.verdict == "ready" else 0
    if not known:
        return "Nothing was judged in this time."
    inside = sum(1 for one in past.verdicts if axis.start < one.since <= axis.end)
    said = f"Ready {formats.share(ready, known)} of the known time"
    unknown = max(0.0, whole - known)
    said += f", {formats.duration(unknown)} unknown or excluded" if unknown > 60 else ""
    said += f"; {formats.plural(inside, 'change')} of verdict, {formats.plural(len(past.findings), 'finding')}, "
    return said + f"{formats.plural(len(past.changes), 'change')} of what it told Kubernetes."
