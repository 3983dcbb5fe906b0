"""An exporter that does not answer, tells nothing new, or whose DCGM stands still: what it said before proves nothing now."""

from __future__ import annotations

from fleet.domain.catalog import thresholds
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.health.measuring import RUNG, answer, cards, is_exported, not_enabled, silence
from fleet.domain.outcomes import Outcome
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "exporter_stale"
_LIVE = ("energy", "power")
"""No GPU that is on keeps these still: energy only grows, power flickers."""
_NOT_THE_EXPORTERS = frozenset({Outcome.FORBIDDEN, Outcome.UNAUTHORISED, Outcome.THROTTLED, Outcome.SKIPPED, Outcome.ABSENT})
"""What keeps Muster from asking says nothing about the exporter."""
_COMPONENTS = ("dcgm-exporter", "amd-metrics-exporter")


def check(subject: NodeSubject) -> RuleResult:
    """Fresh samples pass, as long as something in them lives."""
    quiet = silence(subject)
    age = subject.age_of_boot()
    if quiet is not None and age is not None and age < subject.cluster.boot_grace:
        return RuleResult(rule=ID, status=Status.WAITING, reason="The node has just started; its exporter may still come up.")
    if quiet is not None:
        found = _silent(subject)
        return answer(subject, ID, [found] if found else [], lack=quiet)
    if not any(is_exported(subject, name) for name in _LIVE):
        return RuleResult(rule=ID, status=Status.NOT_ENABLED, reason=not_enabled(subject, _LIVE))
    return answer(subject, ID, [_frozen()] if _is_frozen(subject) else [])


def _silent(subject: NodeSubject) -> Finding | None:
    """A finding where the silence is the exporter's own."""
    failing = [report for report in subject.exporters if report.outcome not in (*_NOT_THE_EXPORTERS, Outcome.COLLECTED)]
    if failing:
        told = Evidence("exporter", f"{failing[0].namespace}/{failing[0].pod}".strip("/") or "outcome", failing[0].outcome.value)
        return _finding("silent", "The exporter of this node does not answer.", told)
    asked = subject.snapshot.section("telemetry").outcome in (Outcome.COLLECTED, Outcome.INCOMPLETE)
    if asked and any(report.outcome is Outcome.COLLECTED for report in subject.exporters):
        return _finding(
            "stale", "The exporter of this node tells nothing new of its GPUs.", Evidence("exporter", "samples", "old")
        )
    section_read = subject.snapshot.section("telemetry").complete
    pods = subject.component(*_COMPONENTS) if section_read else ()
    if pods:
        told = Evidence("pod", f"{pods[0].namespace}/{pods[0].name}", "runs, without samples")
        return _finding("silent", "An exporter runs on this node, and nothing of it is read.", told)
    return None


def _is_frozen(subject: NodeSubject) -> bool:
    """Whether every living value of every card is to the digit what it was at the look before."""
    pairs = [
        (earlier.values[metric], sample.values[metric])
        for card in cards(subject)
        for sample in card.samples
        for earlier in card.before
        if earlier.gi_id == sample.gi_id and earlier.at < sample.at
        for metric in _LIVE
        if metric in earlier.values and metric in sample.values
    ]
    return bool(pairs) and all(was == now for was, now in pairs)


def _frozen() -> Finding:
    text = "DCGM stands still on this node: neither energy nor power of any GPU changes."
    remedy = "Restart the exporter, and nvidia-dcgm where it runs apart. Until then nothing it says is news."
    return _finding("frozen", text, Evidence("dcgm", "energy, power", "unchanged"), remedy, thresholds.load().exporter.frozen_s)


def _finding(key: str, text: str, evidence: Evidence, remedy: str = "", sustain_s: int | None = None) -> Finding:
    return Finding(
        rule=ID,
        severity=Severity.WARNING,
        text=text,
        key=key,
        evidence=(evidence,),
        remedy=remedy or "Look at the exporter's pod on this node and its log; DCGM needs a loaded driver.",
        rung=RUNG,
        sustain_s=thresholds.load().exporter.sustain_s if sustain_s is None else sustain_s,
    )


RULE = Rule(id=ID, title="Exporter", needs=(), check=check)
