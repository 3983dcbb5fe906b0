"""Tags of a node's timeline: `{% load node_timeline %}`. They turn selectors.history.rows into lanes and rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from django import template
from django.template import Context

from fleet.domain.history import intervals, timeline_geometry
from fleet.domain.history import timeline as shown
from fleet.domain.readiness.wording import rung_number
from fleet.templatetags import formats, timeline, words

if TYPE_CHECKING:
    from fleet.selectors.history.rows import Change, FactChange, Finding, NodeTimeline, Rung, Verdict

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


class TimelineRow(NamedTuple):
    """One row of the table behind a timeline."""

    at: datetime
    until: datetime | None
    moment: bool
    """It has no length."""
    lane: str
    text: str


class DrawnNodeTimeline(NamedTuple):
    """What components/_timeline.html takes."""

    drawn: timeline_geometry.DrawnTimeline
    rows: list[TimelineRow]
    sentence: str
    more: int


@register.simple_tag(takes_context=True)
def node_timeline(
    context: Context, past: NodeTimeline, at: datetime | None = None, born: datetime | None = None
) -> DrawnNodeTimeline:
    """Draws a selectors.history.rows.NodeTimeline.

    `at` is the moment of the past that the page shows; before `born` the node was not known, so nothing is drawn there.
    """
    now: datetime = context["now"]
    at = at or None  # a template's missing variable is an empty text
    axis = shown.Axis(past.since, min(past.until, now))
    known_since = max(axis.start, born) if born is not None else axis.start
    spans = [intervals.Span(verdict.since, verdict.until, verdict.verdict) for verdict in past.verdicts]
    findings, more = shown.pack([_finding(finding) for finding in past.findings], now, MOST_FINDING_ROWS)
    lanes = [
        shown.Lane("Verdict", _verdict_spans(past, intervals.gaps(spans, known_since, axis.end)), tall=True),
        *_rung_lanes(past),
        *(
            shown.Lane("Findings" if not place else "", row, words="beside", title="Finding")
            for place, row in enumerate(findings or [[]])
        ),
        shown.Lane("Changes", marks=[_mark(change, intervals.precedes_worse(change.at, spans)) for change in past.changes]),
    ]
    return DrawnNodeTimeline(
        drawn=timeline.draw(axis, lanes, now, past.broken_since if at is None else None, at),
        rows=_rows(past),
        sentence=_sentence(past, intervals.seconds(spans, known_since, axis.end), known_since, axis.end),
        more=more,
    )


def _verdict_spans(past: NodeTimeline, gaps: Iterable[tuple[datetime, datetime]]) -> list[shown.LanePeriod]:
    spans = [shown.LanePeriod(start, end, "unknown", "Not evaluated") for start, end in gaps]
    for verdict in past.verdicts:
        known = words.word("verdict", verdict.verdict)
        detail = f"{verdict.broken_rung}: {verdict.reason}" if verdict.broken_rung else verdict.reason
        quiet = verdict.verdict == "ready"
        spans.append(shown.LanePeriod(verdict.since, verdict.until, known.look, known.word, detail, quiet=quiet))
    return sorted(spans, key=lambda span: span.start)


def _rung_lanes(past: NodeTimeline) -> list[shown.Lane]:
    """The rungs that were anything but quiet at some time in the window, highest first, as they are read up the ladder."""
    by_rung: dict[str, list[Rung]] = {}
    for item in past.rungs:
        by_rung.setdefault(item.rung, []).append(item)
    lanes = []
    for rung in sorted(by_rung, key=rung_number, reverse=True):
        if all(entry.status in _QUIET or entry.status == "blocked" for entry in by_rung[rung]):
            continue
        spans = []
        for item in by_rung[rung]:
            known = words.word("status", item.status)
            look = known.look if item.status not in ("not_applicable",) else "unknown"
            spans.append(
                shown.LanePeriod(item.since, item.until, look, known.word, item.reason, item.status in (*_QUIET, "blocked"))
            )
        lanes.append(shown.Lane(f"{rung_number(rung)} {_short(rung)}", spans, words="none", title=rung))
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


def _finding(row: Finding) -> shown.LanePeriod:
    look = _SEVERITY_LOOK.get(row.severity, "unknown")
    result = f"{words.word('severity', row.severity).word}: {row.text}"
    return shown.LanePeriod(row.since, row.until, look, formats.middle(row.text.rstrip("."), 42), result)


def _mark(change: FactChange, is_before_worse: bool) -> shown.Mark:
    """One moment of change; amber where a worse verdict follows soon."""
    kind, word = _most_telling(change.changes) if change.changes else ("labels", "first seen")
    return shown.Mark(change.at, kind, word, is_before_worse)


def _most_telling(changes: Sequence[Change]) -> tuple[str, str]:
    """Returns the kind of a set of changes and the text of its most specific one."""
    for section, prefix, kind, noun in _KINDS:
        for change in changes:
            if change["section"] == section and (change["key"] or "").startswith(prefix):
                more = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
                return kind, formats.middle(change_words(change, noun), 40) + more
    return "labels", change_words(changes[0], changes[0]["section"] or "")


@register.filter
def change_words(row: Change, noun: str = "") -> str:
    """`driver 570.172.08 → 580.95.05`, `label team=inference`, `taint x:NoSchedule gone`."""
    name = noun if noun in ("driver", "MIG layout", "allocatable", "capacity") else f"{noun} {row['key']}".strip()
    before, after = row.get("before"), row.get("after")
    if before is None:
        return f"{name}={after}" if after else f"{name} added"
    if after is None:
        return f"{name} removed"
    return f"{name} {before} → {after}"


# --- in words -----------------------------------------------------------------------------------------------------


def _rows(past: NodeTimeline) -> list[TimelineRow]:
    rows = [
        _row(verdict, "Verdict", words.word("verdict", verdict.verdict).word, verdict.broken_rung, verdict.reason)
        for verdict in past.verdicts
    ]
    rows += [
        _row(rung, rung.rung, words.word("status", rung.status).word, "", rung.reason)
        for rung in past.rungs
        if rung.status not in ("pass", "blocked", "not_applicable")
    ]
    rows += [
        _row(finding, f"{words.word('severity', finding.severity).word} finding", "", "", finding.text)
        for finding in past.findings
    ]
    rows += [TimelineRow(change.at, None, True, "Change", _changes_text(change.changes)) for change in past.changes]
    return sorted(rows, key=lambda row: row.at, reverse=True)


def _row(row: Verdict | Rung | Finding, lane: str, word: str, rung: str, reason: str) -> TimelineRow:
    join = ", ".join(part for part in (word, rung) if part)
    return TimelineRow(row.since, row.until, False, lane, f"{join}: {reason}" if join and reason else join or reason)


def _changes_text(changes: Sequence[Change]) -> str:
    if not changes:
        return "First seen"
    join = "; ".join(change_words(item, item["section"] or "") for item in changes[:4])
    return join + (f" and {len(changes) - 4} more" if len(changes) > 4 else "")


def _sentence(past: NodeTimeline, seconds: dict[str, int], since: datetime, until: datetime) -> str:
    """The timeline for those who do not see it: shares of time, and how often things changed."""
    known = intervals.known(seconds)
    if not known:
        return "Not evaluated in this time."
    inside = sum(1 for item in past.verdicts if since < item.since <= until)
    result = f"Ready {formats.share(seconds['ready'] + seconds['degraded'], known)} of known time"
    unknown = max(0.0, (until - since).total_seconds() - known)
    result += f", {formats.duration(unknown)} unknown or excluded" if unknown > 60 else ""
    result += f"; {formats.plural(inside, 'change')} of verdict, {formats.plural(len(past.findings), 'finding')}, "
    return result + f"{formats.plural(len(past.changes), 'change')} of Kubernetes data."
