"""An exporter that does not answer, has no new samples, or whose DCGM is frozen."""

from __future__ import annotations

from fleet.domain.catalog import thresholds
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.health.node_measurements import RUNG, answer, exporter_answers, gpus, is_exported, not_enabled, unmeasured
from fleet.domain.snapshot.sections import Outcome

ID = "exporter_stale"
_LIVE = ("energy", "power")
"""Metrics that always change on a running GPU: energy only grows, power fluctuates."""
_NOT_THE_EXPORTERS = frozenset({Outcome.FORBIDDEN, Outcome.UNAUTHORISED, Outcome.THROTTLED, Outcome.SKIPPED, Outcome.ABSENT})
"""Outcomes that concern Muster's access, not the exporter."""
_FROZEN = "frozen"
_COMPONENTS = ("dcgm-exporter", "amd-metrics-exporter")


def check(subject: NodeSubject) -> RuleResult:
    """Returns pass where recent samples of this run show energy or power that changes.

    What cannot be compared this time, because the exporter does not answer or its values are invalid, leaves an open finding
    as it is.
    """
    quiet = unmeasured(subject)
    if quiet is not None and subject.booted_within(subject.cluster.history.boot_grace):
        reason = "The node has just started; its exporter may still come up."
        return RuleResult(rule=ID, status=Status.WAITING, reason=reason)
    if quiet is not None or not exporter_answers(subject):
        silent = _silent(subject)
        return answer(subject, ID, [silent] if silent else [], lack=quiet or _no_answer(subject), blind=(_FROZEN,))
    if not any(is_exported(subject, name) for name in _LIVE):
        return answer(subject, ID, [], lack=(Status.NOT_ENABLED, not_enabled(subject, _LIVE)))
    pairs = _pairs(subject)
    if not pairs:
        valid = any(name in sample.values for gpu in gpus(subject) for sample in gpu.samples for name in _LIVE)
        reason = "Only one sample of energy and power so far." if valid else "Neither energy nor power has a valid value."
        return answer(subject, ID, [], lack=(Status.UNKNOWN, reason), blind=(_FROZEN,))
    return answer(subject, ID, [_frozen()] if all(was == now for was, now in pairs) else [])


def _no_answer(subject: NodeSubject) -> tuple[Status, str]:
    reason = next((report.reason for report in subject.exporters if report.reason), "The exporter did not answer.")
    return Status.UNKNOWN, reason


def _silent(subject: NodeSubject) -> Finding | None:
    """Returns a finding where the exporter itself is the cause of missing samples."""
    failing = [report for report in subject.exporters if report.outcome not in (*_NOT_THE_EXPORTERS, Outcome.COLLECTED)]
    if failing:
        evidence = Evidence(
            "exporter", f"{failing[0].namespace}/{failing[0].pod}".strip("/") or "outcome", failing[0].outcome.value
        )
        return _finding("silent", "The exporter does not answer.", evidence)
    asked = subject.snapshot.section("telemetry").outcome in (Outcome.COLLECTED, Outcome.INCOMPLETE)
    if asked and any(report.outcome is Outcome.COLLECTED for report in subject.exporters):
        return _finding("stale", "The exporter has no new samples.", Evidence("exporter", "samples", "old"))
    if subject.exporters:
        return None  # Muster was refused: whether the exporter has samples is unknown
    pods = subject.component(*_COMPONENTS) if subject.snapshot.section("telemetry").complete else ()
    if pods:
        evidence = Evidence("pod", f"{pods[0].namespace}/{pods[0].name}", "runs, without samples")
        return _finding("silent", "An exporter runs on this node, but has no samples.", evidence)
    return None


def _pairs(subject: NodeSubject) -> list[tuple[float, float]]:
    """Returns every value of energy and power beside its value in the sample before."""
    return [
        (earlier.values[metric], sample.values[metric])
        for gpu in gpus(subject)
        for sample in gpu.samples
        for earlier in gpu.before
        if earlier.gi_id == sample.gi_id and earlier.at < sample.at
        for metric in _LIVE
        if metric in earlier.values and metric in sample.values
    ]


def _frozen() -> Finding:
    text = "DCGM is frozen: neither energy nor power of any GPU changes."
    remedy = "Restart the exporter, and nvidia-dcgm where it is a pod of its own: kubectl delete pod -n NAMESPACE POD"
    return _finding(_FROZEN, text, Evidence("dcgm", "energy, power", "unchanged"), remedy, thresholds.load().exporter.frozen_s)


def _finding(key: str, text: str, evidence: Evidence, remedy: str = "", sustain_s: int | None = None) -> Finding:
    return Finding(
        rule=ID,
        severity=Severity.WARNING,
        text=text,
        key=key,
        evidence=(evidence,),
        remedy=remedy
        or "Read the log of the exporter's pod on this node: kubectl logs -n NAMESPACE POD. DCGM needs a loaded driver.",
        rung=RUNG,
        sustain_s=thresholds.load().exporter.sustain_s if sustain_s is None else sustain_s,
    )


RULE = Rule(id=ID, title="Exporter", severity=Severity.WARNING, needs=(), check=check)
