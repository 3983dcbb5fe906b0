"""Climbs the ladder of one node: every rung is asked, then the verdict follows."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from fleet.domain.findings import RuleResult, Status
from fleet.domain.readiness.intent import on_purpose
from fleet.domain.readiness.rungs import RUNGS
from fleet.domain.readiness.seen import age_of_boot
from fleet.domain.readiness.types import Readiness, Rung, RungResult, Verdict
from fleet.domain.subject import NodeSubject

_log = logging.getLogger(__name__)
_SECTIONS = tuple(dict.fromkeys(section for rung in RUNGS for section in rung.needs))
_STANDS = frozenset({Status.PASS, Status.WARN, Status.NOT_APPLICABLE})
_BLOCKABLE = frozenset({Status.FAIL, Status.UNKNOWN, Status.WAITING})
_UNPROVED = frozenset({Status.UNKNOWN, Status.NOT_ENABLED, Status.WAITING})


def climb(subject: NodeSubject, health: Sequence[RuleResult] = ()) -> Readiness:
    """`health` holds what the health rules said of this node: rung 7 rests on it."""
    silent = _silence(subject)
    if silent:
        results = tuple(rung.says(Status.UNKNOWN, silent) for rung in RUNGS)
    else:
        unread = frozenset(section for section in _SECTIONS if not subject.snapshot.knows(section))
        results = _waive(subject, _block([_ask(rung, subject, health, unread) for rung in RUNGS]))
    readiness = _judge(subject, results, silent)
    remember = {f"{result.id}|{name}": at for result in results for name, at in result.remember.items()}
    return msgspec.structs.replace(
        readiness,
        reached=_reached(results),
        usable=_usable(subject, readiness.verdict),
        flapping=_flapping(subject, readiness.verdict),
        remember=dict(subject.memory.pending) if silent else remember,
    )


def _silence(subject: NodeSubject) -> str:
    """Why nothing that the cluster once said is believed any more; empty while it is."""
    since = subject.cluster.silent_since
    if since is None:
        return ""
    return f"The cluster has not been read for too long: since {since:%Y-%m-%d %H:%M} UTC its last word is not believed any more."


def _ask(rung: Rung, subject: NodeSubject, health: Sequence[RuleResult], unread: frozenset[str]) -> RungResult:
    if not unread.isdisjoint(rung.needs):
        section = next(section for section in rung.needs if section in unread)
        reason = subject.snapshot.section(section).reason
        return rung.says(Status.UNKNOWN, reason or f"The section {section} was not read.")
    try:
        return rung.check(subject, health)
    except Exception as error:  # noqa: BLE001 - here, per rung: one rung's mistake must not cost the others
        _log.exception("rung %s failed", rung.id)
        return rung.says(Status.UNKNOWN, f"Muster's rung {rung.id} failed ({type(error).__name__}).")


def _block(results: Sequence[RungResult]) -> list[RungResult]:
    """After the first rung that fails, rungs that do not stand on evidence of their own are blocked by it. One that passes
    by its own evidence goes on passing: else taking that rung's source away would make the later one pass."""
    by = next((result for result in results if result.status == Status.FAIL), None)
    if by is None:
        return list(results)
    return [
        msgspec.structs.replace(result, status=Status.BLOCKED, own_status=result.status)
        if result.number > by.number and result.status in _BLOCKABLE
        else result
        for result in results
    ]


def _waive(subject: NodeSubject, results: Sequence[RungResult]) -> tuple[RungResult, ...]:
    """A waiver stands in for a proof that is not there. It does not outweigh a disproof: a rung that fails, fails."""
    signed = {waiver.rung: waiver for waiver in subject.policy.waivers}
    return tuple(
        msgspec.structs.replace(result, waiver=signed[result.id])
        if result.id in signed and (result.own_status or result.status) in _UNPROVED
        else result
        for result in results
    )


def _judge(subject: NodeSubject, results: Sequence[RungResult], silent: str) -> Readiness:
    """The verdict by the rungs up to the required one: the first that fails, else the first that nothing proves, else the
    first that warns."""
    if silent:
        return Readiness(rungs=tuple(results), verdict=Verdict.UNKNOWN, reason=silent)
    purpose = on_purpose(subject)
    if purpose:
        return Readiness(rungs=tuple(results), verdict=Verdict.EXCLUDED, reason=purpose)
    required = [result for result in results if result.number <= subject.policy.required_rung and result.waiver is None]
    failing = next((result for result in required if result.status == Status.FAIL), None)
    open_ = next((result for result in required if result.status not in _STANDS), None)
    age = age_of_boot(subject)
    if open_ is not None and age is not None and age < subject.cluster.boot_grace:
        return _broken(results, Verdict.STARTING, failing or open_, "The node has just joined or booted. ")
    if failing is not None:
        return _broken(results, Verdict.NOT_READY, failing)
    if open_ is not None:
        return _broken(results, Verdict.STARTING if open_.status == Status.WAITING else Verdict.UNKNOWN, open_)
    warning = next((result for result in required if result.status == Status.WARN), None)
    if warning is not None:
        return _broken(results, Verdict.DEGRADED, warning)
    waived = [result.id for result in results if result.waiver is not None and result.number <= subject.policy.required_rung]
    reason = (
        f"Every required rung is proved, except {', '.join(waived)} (waived)." if waived else "Every required rung is proved."
    )
    return Readiness(rungs=tuple(results), verdict=Verdict.READY, reason=reason)


def _broken(results: Sequence[RungResult], verdict: Verdict, rung: RungResult, before: str = "") -> Readiness:
    return Readiness(rungs=tuple(results), verdict=verdict, broken_rung=rung.id, reason=before + rung.reason, remedy=rung.remedy)


def _reached(results: Sequence[RungResult]) -> int:
    reached = -1
    for result in results:
        if result.status not in _STANDS and result.waiver is None:
            break
        reached = result.number
    return reached


def _usable(subject: NodeSubject, verdict: Verdict) -> int | None:
    """Cards that a workload may count on: those of a ready or degraded node that are on offer."""
    devices = subject.devices
    if verdict not in (Verdict.READY, Verdict.DEGRADED) or devices.advertised == "none":
        return 0
    if devices.physical is None or devices.advertised != "partial":
        return devices.physical
    offered, full = 0, 0
    for slots in devices.resources:
        offered += slots.allocatable or 0
        full += max(slots.capacity or 0, slots.predicted or 0)
    return min(devices.physical, devices.physical * offered // full) if full else None


def _flapping(subject: NodeSubject, verdict: Verdict) -> bool:
    changed = bool(subject.memory.verdict) and subject.memory.verdict != verdict
    return subject.memory.recent_changes + changed >= subject.cluster.flap_changes
