"""Xid errors of the last hours, evaluated by the policy of their codes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from fleet.domain.catalog import thresholds, xids
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject, XidBurst, XidPolicy
from fleet.domain.findings import REPORTED_BY, Evidence, Finding, RuleResult, Severity
from fleet.domain.health.node_measurements import RUNG, SampledGpu, by_gpu, gpus
from fleet.domain.health.xids import METRIC, last_code

ID = "xid"
_SHOWN_PODS = 3


def check(subject: NodeSubject) -> RuleResult:
    """Evaluates the stored bursts, which stay when the exporter does not answer.

    Where no exporter ever reported the GPU, its absence keeps no finding open; the end of a finding on a GPU that was measured
    and is not now is unknown.
    """

    def look(gpu: SampledGpu) -> Iterable[Finding] | None:
        codes = {code for sample in gpu.samples if (code := last_code(sample)) is not None}
        return list(_old(subject, gpu, codes)) if codes else None

    result = by_gpu(subject, ID, (METRIC,), look, remembered=tuple(_from_bursts(subject)))
    return msgspec.structs.replace(result, sure=True, blind=tuple(sorted(_unmeasured(subject))))


def _unmeasured(subject: NodeSubject) -> set[str]:
    """Returns keys of findings and gauge codes of GPUs that were measured before and whose gauge is missing now."""
    history = subject.history
    rows = {gpu.uuid for gpu in gpus(subject) if any(last_code(sample) is not None for sample in gpu.samples)}
    dark = {*history.known_uuids, *(sample.uuid for sample in history.samples)} - rows
    open_ = {finding.key for finding in history.standing if finding.rule == ID and finding.key.partition("/")[0] in dark}
    return (
        {f"{uuid}/last" for uuid in dark}
        | {f"{burst.uuid}/{burst.code}" for burst in history.bursts if burst.uuid in dark}
        | open_
    )


def _from_bursts(subject: NodeSubject) -> Iterable[Finding]:
    sticky = thresholds.load().xid.sticky
    recent = [burst for burst in subject.history.bursts if not subject.clock.is_past(burst.last_at, sticky)]
    for uuid, code in sorted({(burst.uuid, burst.code) for burst in recent}):
        policy = xids.policy(code, subject.cluster.history.xids)
        from_bursts = [burst for burst in recent if (burst.uuid, burst.code) == (uuid, code)]
        if _is_cured(subject, policy, from_bursts):
            continue
        finding = _judge(subject, policy, uuid, from_bursts)
        if finding is not None:
            yield finding


def _is_cured(subject: NodeSubject, policy: XidPolicy, bursts: list[XidBurst]) -> bool:
    """Returns whether a reboot after the last event reset the GPU, which is all that these codes need.

    An event within the time that contains the boot is not known to be resolved.
    """
    booted = subject.history.booted_after or subject.history.booted_at
    return policy.action in ("reset_gpu", "reboot") and booted is not None and all(burst.last_at < booted for burst in bursts)


def _judge(subject: NodeSubject, policy: XidPolicy, uuid: str, bursts: list[XidBurst]) -> Finding | None:
    meaning = xids.meaning(policy.code)
    raised = "once" if policy.overridden else meaning.raised
    where = uuid[:12] or "an unnamed GPU"
    what = f"Xid {policy.code} ({policy.name}) on {where}"
    if raised == "once":
        return _finding(policy, uuid, bursts, Severity(policy.severity), f"{what}.", policy.action)
    if raised == "repeat" and uuid:  # without a UUID it is unknown whether the events are of one GPU
        needed = meaning.repeat or thresholds.load().xid.repeat
        again = [item for item in subject.history.bursts if (item.uuid, item.code) == (uuid, policy.code)]
        if len(again) < needed:
            return None
        text = f"{what} occurred at least {needed} times within a day, which points to the GPU rather than to a program."
        return _finding(policy, uuid, bursts, Severity.WARNING, text, "run_diag", Evidence("threshold", "bursts", f"≥ {needed}"))
    if raised == "alone" and all(_is_alone(burst, subject.history.bursts) for burst in bursts):
        text = f"{what} occurred without another Xid that explains it."
        return _finding(policy, uuid, bursts, Severity.INFO, text, policy.action)
    return None


def _is_alone(burst: XidBurst, bursts: Iterable[XidBurst]) -> bool:
    """Returns whether no other burst on this node is near it: the end of a job leaves the same code on all of its GPUs."""
    quiet = thresholds.load().xid.quiet
    return not any(
        (other.uuid, other.code) != (burst.uuid, burst.code)
        and other.started_at <= burst.last_at + quiet
        and burst.started_at <= other.last_at + quiet
        for other in bursts
    )


def _finding(
    policy: XidPolicy, uuid: str, bursts: list[XidBurst], severity: Severity, text: str, action: str, *more: Evidence
) -> Finding:
    first = min(bursts, key=lambda burst: burst.started_at)
    source = first.source if first.source in ("condition", "event") else "dcgm"
    evidence = [Evidence(source, "Xid", str(policy.code))]
    names = sorted({burst.reported_by for burst in bursts} - {""})
    evidence += [Evidence("event" if source == "dcgm" else source, REPORTED_BY, name) for name in names]
    jobs = [Evidence("pod", "job", first.job)] if first.job else []
    pods = [Evidence("pod", "held by", name) for name in first.pods[:_SHOWN_PODS]]
    signed = [Evidence("policy", f"Xid {policy.code}", f"{policy.severity}, set by an operator")] if policy.overridden else []
    note = xids.meaning(policy.code).note
    return Finding(
        rule=ID,
        severity=severity,
        text=text,
        key=f"{uuid}/{policy.code}",
        subject="gpu",
        evidence=(*evidence, *more, *jobs, *pods, *signed),
        remedy="\n".join(line for line in (xids.ACTIONS.get(action, ""), note) if line),
        rung=RUNG,
    )


def _old(subject: NodeSubject, gpu: SampledGpu, codes: set[int]) -> Iterable[Finding]:
    """Yields a severe code in the gauge whose beginning was not recorded, so its age is unknown."""
    seen = {burst.code for burst in subject.history.bursts if burst.uuid == gpu.uuid}
    for code in sorted(codes - seen - {0}):
        policy = xids.policy(code, subject.cluster.history.xids)
        if policy.severity in (Severity.CRITICAL, Severity.FATAL):
            yield Finding(
                rule=ID,
                severity=Severity.INFO,
                text=f"{gpu.short} has Xid {code} ({policy.name}) as its last. No new one occurred; its age is unknown.",
                key=f"{gpu.uuid}/last",
                subject="gpu",
                evidence=(Evidence("dcgm", "last Xid", str(code)),),
                remedy="The gauge keeps the last code until DCGM restarts. Find its time in the kernel log: dmesg -T | grep Xid",
                rung=RUNG,
            )


RULE = Rule(id=ID, title="Xid errors", severity=Severity.FATAL, needs=(), check=check)
