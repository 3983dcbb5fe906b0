"""Xid errors of the last hours, by what the policy table says of their codes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from fleet.domain.catalog import thresholds, xids
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.health.measuring import RUNG, Card, by_card, cards
from fleet.domain.health.xids import METRIC, last_code
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject, XidBurst, XidPolicy

ID = "xid"
_SHOWN_PODS = 3


def check(subject: NodeSubject) -> RuleResult:
    """Bursts decide, and they are remembered: that the exporter is silent now takes none of them back. Where no exporter ever
    named the card, that there is none keeps none open; of a card that was measured and is not now, nobody knows the end."""

    def look(card: Card) -> Iterable[Finding] | None:
        codes = {code for sample in card.samples if (code := last_code(sample)) is not None}
        return list(_old(subject, card, codes)) if codes else None

    result = by_card(subject, ID, (METRIC,), look, remembered=tuple(_from_bursts(subject)))
    return msgspec.structs.replace(result, sure=True, blind=tuple(sorted(_unmeasured(subject))))


def _unmeasured(subject: NodeSubject) -> set[str]:
    """Keys of what was found, or stands in the gauge, of cards that were measured before and whose gauge is not told now."""
    memory = subject.memory
    told = {card.uuid for card in cards(subject) if any(last_code(sample) is not None for sample in card.samples)}
    dark = {*memory.known_uuids, *(sample.uuid for sample in memory.samples)} - told
    open_ = {finding.key for finding in memory.standing if finding.rule == ID and finding.key.partition("/")[0] in dark}
    return {f"{uuid}/last" for uuid in dark} | {f"{one.uuid}/{one.code}" for one in memory.bursts if one.uuid in dark} | open_


def _from_bursts(subject: NodeSubject) -> Iterable[Finding]:
    limit = subject.now - thresholds.load().xid.sticky
    recent = [burst for burst in subject.memory.bursts if burst.last_at >= limit]
    for uuid, code in sorted({(burst.uuid, burst.code) for burst in recent}):
        policy = xids.policy(code, subject.cluster.xids)
        mine = [burst for burst in recent if (burst.uuid, burst.code) == (uuid, code)]
        if _is_cured(subject, policy, mine):
            continue
        finding = _judge(subject, policy, uuid, mine)
        if finding is not None:
            yield finding


def _is_cured(subject: NodeSubject, policy: XidPolicy, bursts: list[XidBurst]) -> bool:
    """A reboot behind the last event resets the GPU, which is all that these codes ask for. An event of the time in which the
    boot lies is not known to be cured."""
    booted = subject.memory.booted_after or subject.memory.booted_at
    return policy.action in ("reset_gpu", "reboot") and booted is not None and all(burst.last_at < booted for burst in bursts)


def _judge(subject: NodeSubject, policy: XidPolicy, uuid: str, bursts: list[XidBurst]) -> Finding | None:
    meaning = xids.meaning(policy.code)
    raised = "once" if policy.overridden else meaning.raised
    where = uuid[:12] or "a GPU that nobody names"
    what = f"Xid {policy.code} ({policy.name}) on {where}"
    if raised == "once":
        return _finding(policy, uuid, bursts, Severity(policy.severity), f"{what}.", policy.action)
    if raised == "repeat" and uuid:  # of events that name no card nobody knows whether they are one card's
        needed = meaning.repeat or thresholds.load().xid.repeat
        again = [one for one in subject.memory.bursts if (one.uuid, one.code) == (uuid, policy.code)]
        if len(again) < needed:
            return None
        text = f"{what} came at least {needed} times within a day: that points to the card rather than to the program."
        return _finding(policy, uuid, bursts, Severity.WARNING, text, "run_diag", Evidence("threshold", "bursts", f"≥ {needed}"))
    if raised == "alone" and all(_is_alone(burst, subject.memory.bursts) for burst in bursts):
        text = f"{what} came without any other Xid that could explain it."
        return _finding(policy, uuid, bursts, Severity.INFO, text, policy.action)
    return None


def _is_alone(burst: XidBurst, bursts: Iterable[XidBurst]) -> bool:
    """Whether nothing else happened on this node near it: the end of a job leaves the same code on all of its cards."""
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
    told = Evidence(first.source if first.source in ("condition", "event") else "dcgm", "Xid", str(policy.code))
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
        evidence=(told, *more, *jobs, *pods, *signed),
        remedy="\n".join(line for line in (xids.ACTIONS.get(action, ""), note) if line),
        rung=RUNG,
    )


def _old(subject: NodeSubject, card: Card, codes: set[int]) -> Iterable[Finding]:
    """A grave code that stands in the gauge and is no news: nobody saw it come, so its age is not known."""
    seen = {burst.code for burst in subject.memory.bursts if burst.uuid == card.uuid}
    for code in sorted(codes - seen - {0}):
        policy = xids.policy(code, subject.cluster.xids)
        if policy.severity in (Severity.CRITICAL, Severity.FATAL):
            yield Finding(
                rule=ID,
                severity=Severity.INFO,
                text=f"{card.short} still tells Xid {code} ({policy.name}) as its last: no new one, and nobody knows how old.",
                key=f"{card.uuid}/last",
                subject="gpu",
                evidence=(Evidence("dcgm", "last Xid", str(code)),),
                remedy="The gauge keeps the last code until DCGM starts anew. Look into the kernel log for when it came.",
                rung=RUNG,
            )


RULE = Rule(id=ID, title="Xid errors", needs=(), check=check)
