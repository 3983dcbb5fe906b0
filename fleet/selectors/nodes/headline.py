"""The headline of a node: its most severe cause, since when by the earliest evidence, and that cause's remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import msgspec

from fleet.domain.evaluation.figures import NodeFigures
from fleet.domain.findings import Evidence, Severity
from fleet.domain.incidents.causes import severity_rank
from fleet.domain.incidents.commands import steps_in_context
from fleet.domain.readiness.remedies import Step, node_steps, parse_steps
from fleet.domain.readiness.wording import rung_number, rung_title
from fleet.models import FindingRow
from fleet.selectors.history.rows import NodeMoment
from fleet.selectors.incidents.rows import IncidentRow
from fleet.selectors.nodes.pods import PodView
from fleet.selectors.nodes.views import NodeView

LONGEST_TITLE = 110
REMOVED = "removed"
_PLACES = {"not_ready": "Failed at", "degraded": "Warning at", "unknown": "Unknown at", "starting": "Waiting at"}
_TITLES = {
    "not_ready": "Not ready",
    "degraded": "Degraded",
    "unknown": "Readiness unknown",
    "starting": "Starting",
    "excluded": "Excluded on purpose",
}


class Rung(Protocol):
    """A rung of the node's ladder."""

    @property
    def number(self) -> int: ...
    @property
    def status(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Cause:
    """A finding that may explain the verdict."""

    text: str
    severity: str
    rung: str
    since: datetime
    remedy: str = ""
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Headline:
    """Headline of a node's page."""

    verdict: str
    """ready, degraded, not_ready, starting, unknown or excluded; or removed."""
    title: str
    reason: str = ""
    since: datetime | None = None
    """Moment of the earliest evidence."""
    evidence: str = ""
    """Source of `since`, where it is earlier than Muster's own observation: a condition's type."""
    seen_at: datetime | None = None
    """When Muster first saw it, where that is later than `since`."""
    until: datetime | None = None
    """End of a verdict of the past."""
    is_past: bool = False
    notes: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()


def node_headline(
    node: NodeView,
    ladder: Sequence[Rung] = (),
    findings: Sequence[FindingRow] = (),
    stack_pods: Sequence[PodView] = (),
    stale: bool = False,
    incident: IncidentRow | None = None,
) -> Headline:
    """Returns the headline of a node as it is now, since the first evidence of its `incident`.

    Silenced findings (`silenced`) explain nothing.
    """
    if node.removed_at is not None:
        reason = "Its cluster no longer lists it. Showing last known data."
        return Headline(REMOVED, "Node removed", reason, node.removed_at)
    causes = [_cause(finding) for finding in findings if not getattr(finding, "silenced", False)]
    verdict, broken_rung = node.figures.verdict, node.figures.broken_rung
    headline = _headline(verdict, broken_rung, node.verdict_reason, causes)
    if verdict == "ready":
        return replace(headline, since=node.verdict_since)
    cause = main_cause(causes, verdict, broken_rung)
    since, seen_at, evidence = _since(node, cause, incident if cause is not None else None)
    inspected = [finding.rule for finding in node.device_findings or () if finding.text]
    steps = (
        parse_steps(cause.remedy if cause else "")
        or parse_steps(node.verdict_remedy)
        or node_steps(node.name, node.figures.state, inspected, stack_pods)
    )
    return replace(
        headline,
        since=since,
        seen_at=seen_at,
        evidence=evidence,
        steps=steps_in_context(tuple(steps), node.cluster.name),
        notes=_notes(ladder, node.figures.flapping, stale),
    )


def _cause(finding: FindingRow) -> Cause:
    evidence = tuple(msgspec.convert(row, Evidence, strict=False) for row in finding.evidence or ())
    return Cause(finding.text, finding.severity, finding.rung, finding.period.lower, finding.remedy, evidence)


def past_headline(moment: NodeMoment) -> Headline | None:
    """Returns the headline of a node at a past moment: without steps; None where nothing was evaluated then."""
    verdict = moment.verdict
    if verdict is None:
        return None
    causes = [Cause(finding.text, finding.severity, finding.rung, finding.since) for finding in moment.findings]
    headline = _headline(verdict.verdict, verdict.broken_rung, verdict.reason, causes)
    return replace(headline, since=verdict.since, until=verdict.until, is_past=True)


def main_cause(causes: Sequence[Cause], verdict: str, broken_rung: str) -> Cause | None:
    """Returns the most severe finding that can explain the verdict: a critical one, or one about the broken rung.

    Among equals the one about the broken rung wins, then the oldest.
    """
    if verdict in ("ready", "excluded"):
        return None
    able = [
        cause
        for cause in causes
        if severity_rank(cause.severity) >= Severity.CRITICAL.rank or (cause.rung and cause.rung == broken_rung)
    ]
    return min(able, key=lambda row: (-severity_rank(row.severity), row.rung != broken_rung, row.since), default=None)


def _headline(verdict: str, broken_rung: str, reason: str, causes: Sequence[Cause]) -> Headline:
    reason = reason.strip()
    if verdict == "ready":
        return Headline(verdict, reason.rstrip(".") or "Ready")
    place = ""
    if broken_rung and verdict != "excluded":
        place = f"{_PLACES.get(verdict, 'Stopped at')} rung {rung_number(broken_rung)}, {rung_title(broken_rung)}."
    title = _TITLES.get(verdict, "Readiness unknown")
    cause = main_cause(causes, verdict, broken_rung)
    if cause is not None:
        below = [reason] if reason and _bare(reason) != _bare(cause.text) else []
        return Headline(verdict, cause.text.strip().rstrip("."), " ".join([*below, place]).strip())
    if verdict == "excluded" or not reason:
        return Headline(verdict, title, reason or place)
    if len(reason) <= LONGEST_TITLE:
        return Headline(verdict, reason.rstrip("."), place)
    return Headline(verdict, place.rstrip(".") or title, reason)


def _bare(sentence: str) -> str:
    return sentence.strip().rstrip(".")


def _since(node: NodeView, cause: Cause | None, incident: IncidentRow | None) -> tuple[datetime | None, datetime | None, str]:
    """Returns the earliest evidence, when Muster saw it (None where that is the same), and the source of the evidence."""
    moments = [at for at in (node.verdict_since, cause.since if cause else None) if at is not None]
    seen_at = min(moments, default=None)
    first, evidence = seen_at, ""
    for kind, at in _condition_moments(node, cause):
        if first is None or at < first:
            first, evidence = at, kind
    if incident is not None and first is not None and incident.first_evidence_at < first:
        first, evidence = incident.first_evidence_at, _stating(node, incident.first_evidence_at)
        return first, seen_at if incident.seen_later else None, evidence
    return first, seen_at if evidence else None, evidence


def _stating(node: NodeView, at: datetime) -> str:
    """Returns the condition that turned at this moment; empty where an event states it."""
    return next((condition.type for condition in node.conditions if condition.last_transition_at == at), "")


def _condition_moments(node: NodeView, cause: Cause | None) -> list[tuple[str, datetime]]:
    """Returns the conditions that a cause rests on, each with the moment of its last transition by the API server's clock."""
    named = {(item.key, item.value) for item in (cause.evidence if cause else ()) if item.source == "condition"}
    return [
        (condition.type, condition.last_transition_at)
        for condition in node.conditions
        if condition.last_transition_at is not None and (condition.type, condition.status) in named
    ]


def _notes(ladder: Sequence[Rung], flapping: bool, stale: bool) -> tuple[str, ...]:
    blocked = [rung.number for rung in ladder if rung.status == "blocked"]
    notes = []
    if len(blocked) > 1:
        notes.append(f"Rungs {blocked[0]} to {blocked[-1]} are blocked.")
    elif blocked:
        notes.append(f"Rung {blocked[0]} is blocked.")
    if flapping:
        notes.append("Flapping: the verdict changed often recently.")
    if stale:
        notes.append("Last known: the cluster is unreachable.")
    return tuple(notes)


def with_gpu_and_effect(headline: Headline, figures: NodeFigures, gpus: Mapping[str, str]) -> Headline:
    """Returns the headline with the index beside the UUID of a GPU that its title names, and with what is left to the scheduler.

    `gpus` is UUID to index. The index is DCGM's and may change at a reboot; the UUID identifies the GPU.
    """
    if headline.verdict not in ("not_ready", "degraded"):
        return headline
    title = headline.title
    for uuid, index in gpus.items():
        short = uuid[:12]
        if uuid.startswith("GPU-") and short in title:
            title = title.replace(short, f"GPU {index} ({short.removeprefix('GPU-')})")
    return replace(headline, title=title + _effect(title, figures))


def _effect(title: str, figures: NodeFigures) -> str:
    """Returns `: 7 of 8 GPUs allocatable` where slots are missing and the title does not say so itself."""
    slots = figures.slots
    if slots.capacity is None or slots.allocatable is None or slots.allocatable >= slots.capacity:
        return ""
    if any(word in title for word in ("allocatable", "advertise", "schedulable")):
        return ""
    unit = "GPUs" if figures.partitioning == "none" and figures.sharing == "exclusive" else "slots"
    return f"{';' if ': ' in title else ':'} {slots.allocatable} of {slots.capacity} {unit} allocatable"
