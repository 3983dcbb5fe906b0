"""A node's timeline on its page: the lanes of selectors.history.lanes with the words and looks of pages, and a table of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from fleet.domain.history import intervals, timeline_geometry
from fleet.domain.history import timeline as shown
from fleet.domain.readiness.wording import rung_number
from fleet.selectors.history import lanes as decided
from fleet.selectors.history.rows import Change, FactChange, Finding, NodeTimeline, Rung, Verdict
from fleet.templatetags import formats, timeline, words

MOST_FINDING_ROWS = 4


class TimelineRow(NamedTuple):
    """One row of the table behind a timeline."""

    at: datetime
    until: datetime | None
    moment: bool
    """Whether it has no length."""
    lane: str
    text: str


class DrawnNodeTimeline(NamedTuple):
    """Context of components/_timeline.html."""

    drawn: timeline_geometry.DrawnTimeline
    rows: list[TimelineRow]
    sentence: str
    more: int


def draw_timeline(
    past: NodeTimeline, now: datetime, at: datetime | None = None, born: datetime | None = None
) -> DrawnNodeTimeline:
    """Returns the timeline as components/_timeline.html takes it.

    `at` is the moment of the past that the page shows; before `born` the node was not known, which is hatched.
    """
    axis = shown.Axis(past.since, min(past.until, now))
    known_since = max(axis.start, born) if born is not None else axis.start
    spans = [intervals.Span(verdict.since, verdict.until, verdict.verdict) for verdict in past.verdicts]
    findings, more = shown.pack([_finding(finding) for finding in past.findings], now, MOST_FINDING_ROWS)
    gaps = intervals.gaps(spans, known_since, axis.end)
    lanes = [
        shown.Lane("Verdict", [*_unobserved(axis.start, known_since), *_verdict_spans(past, gaps)], tall=True),
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


def _unobserved(start: datetime, known_since: datetime) -> list[shown.LanePeriod]:
    """Returns the time before the first observation of the node; empty where all of the axis was observed."""
    return [shown.LanePeriod(start, known_since, "unknown", "Not observed")] if known_since > start else []


def _verdict_spans(past: NodeTimeline, gaps: Iterable[tuple[datetime, datetime]]) -> list[shown.LanePeriod]:
    spans = [shown.LanePeriod(start, end, "unknown", "Not evaluated") for start, end in gaps]
    for verdict in past.verdicts:
        known = words.word("verdict", verdict.verdict)
        detail = f"{verdict.broken_rung}: {verdict.reason}" if verdict.broken_rung else verdict.reason
        quiet = decided.is_quiet_verdict(verdict.verdict)
        spans.append(shown.LanePeriod(verdict.since, verdict.until, known.look, known.word, detail, quiet=quiet))
    return sorted(spans, key=lambda span: span.start)


def _rung_lanes(past: NodeTimeline) -> list[shown.Lane]:
    lanes = []
    for rung, periods in decided.noisy_rungs(past.rungs):
        spans = []
        for item in periods:
            known = words.word("status", item.status)
            quiet = decided.is_quiet_status(item.status)
            spans.append(shown.LanePeriod(item.since, item.until, known.look, known.word, item.reason, quiet))
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
    severity = words.word("severity", row.severity)
    text = formats.middle(row.text.rstrip("."), 42)
    return shown.LanePeriod(row.since, row.until, severity.look, text, f"{severity.word}: {row.text}")


def _mark(change: FactChange, is_before_worse: bool) -> shown.Mark:
    """One moment of change; amber where a worse verdict follows soon."""
    if not change.changes:
        return shown.Mark(change.at, "labels", "first seen", is_before_worse)
    subject = decided.change_subject(change.changes)
    more = f" and {subject.others} more" if subject.others else ""
    word = formats.middle(_change_words(subject.change, subject.noun), 40) + more
    return shown.Mark(change.at, subject.kind, word, is_before_worse)


def _change_words(row: Change, noun: str) -> str:
    """`driver 570.172.08 → 580.95.05`, `label team=inference`, `taint x:NoSchedule removed`."""
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
        if not decided.is_quiet_status(rung.status)
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
    join = "; ".join(_change_words(item, item["section"] or "") for item in changes[:4])
    return join + (f" and {len(changes) - 4} more" if len(changes) > 4 else "")


def _sentence(past: NodeTimeline, seconds: dict[str, int], since: datetime, until: datetime) -> str:
    """The timeline for screen readers: shares of time, and the number of changes."""
    known = intervals.known(seconds)
    if not known:
        return "Not evaluated in this time."
    inside = sum(1 for item in past.verdicts if since < item.since <= until)
    result = f"Ready {formats.share(seconds['ready'] + seconds['degraded'], known)} of known time"
    unknown = max(0.0, (until - since).total_seconds() - known)
    result += f", {formats.duration(unknown)} unknown or excluded" if unknown > 60 else ""
    result += f"; {formats.plural(inside, 'change')} of verdict, {formats.plural(len(past.findings), 'finding')}, "
    return result + f"{formats.plural(len(past.changes), 'change')} of Kubernetes data."
