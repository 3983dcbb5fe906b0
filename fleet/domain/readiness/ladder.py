"""Evaluates the ladder of one node: every rung, then the verdict."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import RuleResult, Status
from fleet.domain.readiness.intent import on_purpose
from fleet.domain.readiness.rungs import RUNGS
from fleet.domain.readiness.types import Readiness, Rung, RungResult, Verdict

_log = logging.getLogger(__name__)
_SECTIONS = tuple(dict.fromkeys(section for rung in RUNGS for section in rung.needs))
_STANDS = frozenset({Status.PASS, Status.WARN, Status.NOT_APPLICABLE})
_BLOCKABLE = frozenset({Status.FAIL, Status.UNKNOWN, Status.WAITING})
_UNPROVED = frozenset({Status.UNKNOWN, Status.NOT_ENABLED, Status.WAITING})


def evaluate_ladder(subject: NodeSubject, health: Sequence[RuleResult] = ()) -> Readiness:
    """Returns the rungs and the verdict of one node. `health` contains the results of the health rules, the input of rung 7."""
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
        remember=dict(subject.history.pending) if silent else remember,
    )


def _silence(subject: NodeSubject) -> str:
    """Returns why last known data is no longer used; empty while it is."""
    since = subject.cluster.history.silent_since
    if since is None:
        return ""
    return f"The cluster has not been read for too long: last known data is not used since {since:%Y-%m-%d %H:%M} UTC."


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
    """Returns the rungs with those blocked that follow the first failed rung without evidence of their own.

    A rung that passes by its own evidence still passes: otherwise removing the failed rung's source would make the later one
    pass.
    """
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
    """Returns the rungs with waivers applied. A waiver replaces missing evidence; it does not outweigh a failure."""
    signed = {waiver.rung: waiver for waiver in subject.policy.waivers}
    return tuple(
        msgspec.structs.replace(result, waiver=signed[result.id])
        if result.id in signed and (result.own_status or result.status) in _UNPROVED
        else result
        for result in results
    )


def _judge(subject: NodeSubject, results: Sequence[RungResult], silent: str) -> Readiness:
    """Returns the verdict from the rungs up to the required one.

    The first that fails, else the first that is unknown, else the first that warns.
    """
    if silent:
        return Readiness(rungs=tuple(results), verdict=Verdict.UNKNOWN, reason=silent)
    purpose = on_purpose(subject)
    if purpose:
        return Readiness(rungs=tuple(results), verdict=Verdict.EXCLUDED, reason=purpose)
    required = [result for result in results if result.number <= subject.policy.required_rung and result.waiver is None]
    failing = next((result for result in required if result.status == Status.FAIL), None)
    open_ = next((result for result in required if result.status not in _STANDS), None)
    if open_ is not None and subject.booted_within(subject.cluster.history.boot_grace):
        return _broken(results, Verdict.STARTING, failing or open_, "The node has just joined or booted. ")
    if failing is not None:
        return _broken(results, Verdict.NOT_READY, failing)
    if open_ is not None:
        return _broken(results, Verdict.STARTING if open_.status == Status.WAITING else Verdict.UNKNOWN, open_)
    warning = next((result for result in required if result.status == Status.WARN), None)
    if warning is not None:
        return _broken(results, Verdict.DEGRADED, warning)
    waived = [result.id for result in results if result.waiver is not None and result.number <= subject.policy.required_rung]
    reason = f"Every required rung passes, except {', '.join(waived)} (waived)." if waived else "Every required rung passes."
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
    """Returns the physical GPUs that a workload may count on: the advertised ones of a ready or degraded node."""
    if verdict not in (Verdict.READY, Verdict.DEGRADED):
        return 0
    return subject.devices.physical if subject.devices.advertised == "unknown" else subject.devices.advertised_gpus


def _flapping(subject: NodeSubject, verdict: Verdict) -> bool:
    changed = bool(subject.history.verdict) and subject.history.verdict != verdict
    return subject.history.recent_changes + changed >= subject.cluster.history.flap_changes
