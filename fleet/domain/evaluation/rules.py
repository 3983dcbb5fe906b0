"""Rules and their evaluation: a rule whose section was not read, or that raises, is unknown."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import wraps
from typing import TypeVar

import msgspec

from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Finding, RuleResult, Severity, Status

SILENT = frozenset({Status.UNKNOWN, Status.NOT_ENABLED, Status.WAITING})
"""With these statuses a rule neither opens nor resolves findings."""


def could_look(result: RuleResult) -> bool:
    """Returns whether a finding absent from this result is resolved.

    A rule that is unknown for some keys only, and names them, covers all other keys.
    """
    return result.sure or result.status not in SILENT or (result.status == Status.UNKNOWN and bool(result.blind))


_log = logging.getLogger(__name__)
T = TypeVar("T")


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule over one node: data and a pure function."""

    id: str
    title: str
    severity: Severity
    """The worst that a finding of it can have."""
    needs: tuple[str, ...]
    """Sections without which the rule is unknown."""
    check: Callable[[NodeSubject], RuleResult]


class ClusterRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule over all GPU nodes of a cluster at once. Its findings name nodes by `key`, or stand for the cluster."""

    id: str
    title: str
    severity: Severity
    needs: tuple[str, ...]
    check: Callable[[Sequence[NodeSubject]], RuleResult]


def run(rules: Iterable[Rule], subject: NodeSubject) -> list[RuleResult]:
    """Returns the result of every rule for one node, in order. Never raises."""
    unread: dict[str, bool] = {}
    return [_ask(rule.id, rule.needs, rule.check, subject, subject, unread) for rule in rules]


def run_cluster(rules: Iterable[ClusterRule], subjects: Sequence[NodeSubject]) -> list[RuleResult]:
    """Returns the result of every rule for a cluster with at least one GPU node, in order. Never raises."""
    unread: dict[str, bool] = {}
    return [_ask(rule.id, rule.needs, rule.check, subjects, subjects[0], unread) for rule in rules] if subjects else []


def _ask(
    rule: str,
    needs: Sequence[str],
    check: Callable[[T], RuleResult],
    asked: T,
    node_subject: NodeSubject,
    unread: dict[str, bool],
) -> RuleResult:
    """Returns the result of one rule; `unread` caches the sections that could not be read from rule to rule."""
    for section in needs:
        if section not in unread:
            unread[section] = not node_subject.snapshot.knows(section)
        if unread[section]:
            report = node_subject.snapshot.section(section)
            reason = report.reason or f"The section {section} was not read."
            return RuleResult(rule=rule, status=Status.UNKNOWN, reason=reason)
    try:
        return check(asked)
    except Exception as error:  # noqa: BLE001 - here, per rule: one rule's mistake must not cost the others
        _log.exception("rule %s failed", rule)
        return RuleResult(rule=rule, status=Status.UNKNOWN, reason=f"Muster's rule {rule} failed ({type(error).__name__}).")


def settle(results: Iterable[RuleResult], subject: NodeSubject) -> tuple[list[RuleResult], dict[str, datetime]]:
    """Returns the results without findings that have not lasted long enough, and since when those are present (`rule|key`).

    A rule that is unknown in this run keeps its pending findings.
    """
    settled, pending = [], {}
    before = subject.history.pending
    for result in results:
        lasting = []
        if not before and not result.findings:
            settled.append(result)
            continue
        for finding in result.findings:
            name = f"{finding.rule}|{finding.key}"
            if finding.sustain_s:
                pending[name] = since = before.get(name) or subject.now
                if subject.clock.has_reached(since, timedelta(seconds=finding.sustain_s)):
                    lasting.append(finding)
            else:
                lasting.append(finding)
        if not could_look(result):
            pending |= {name: since for name, since in before.items() if name.startswith(f"{result.rule}|")}
        blind = (f"{result.rule}|{key}" for key in result.blind)
        pending |= {name: before[name] for name in blind if name in before}
        settled.append(
            result if len(lasting) == len(result.findings) else msgspec.structs.replace(result, findings=tuple(lasting))
        )
    return settled, pending


def findings(results: Iterable[RuleResult]) -> list[Finding]:
    """Returns all findings of these results, in order."""
    return [finding for result in results for finding in result.findings]


Argument = TypeVar("Argument")
Result = TypeVar("Result")


def for_newest(function: Callable[[Argument], Result]) -> Callable[[Argument], Result]:
    """Wraps a pure function of one frozen struct so that it is computed once as long as the same object is passed.

    Rules and rungs compute the same about a node some twenty times before the next node is evaluated.
    Objects are compared by identity. Threads that evaluate different clusters replace each other's result, and only compute more.
    """
    kept: tuple[Argument, Result] | None = None

    @wraps(function)
    def wrapped(argument: Argument) -> Result:
        nonlocal kept
        newest = kept
        if newest is None or newest[0] is not argument:
            newest = kept = (argument, function(argument))
        return newest[1]

    return wrapped
