"""What a rule is, and the one way to run many: a rule whose section was not read, or that fails, answers unknown."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from fleet.domain.findings import Finding, RuleResult, Status
from fleet.domain.subject import NodeSubject

SILENT = frozenset({Status.UNKNOWN, Status.NOT_ENABLED, Status.WAITING})
"""A rule that answers so neither opens nor resolves findings."""


def could_look(result: RuleResult) -> bool:
    """Whether what this result does not find is not there. A rule that is unknown because it was blind to some keys, and names
    them, has looked at all others."""
    return result.sure or result.status not in SILENT or (result.status == Status.UNKNOWN and bool(result.blind))


_log = logging.getLogger(__name__)
T = TypeVar("T")


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule over one node: data beside a small pure function."""

    id: str
    title: str
    needs: tuple[str, ...]
    """Sections without which it can say nothing."""
    check: Callable[[NodeSubject], RuleResult]


class ClusterRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule over all GPU nodes of a cluster at once. Its findings name nodes by `key`, or stand for the cluster."""

    id: str
    title: str
    needs: tuple[str, ...]
    check: Callable[[Sequence[NodeSubject]], RuleResult]


def run(rules: Iterable[Rule], subject: NodeSubject) -> list[RuleResult]:
    """What every rule says of one node, in order. Never raises."""
    unread: dict[str, bool] = {}
    return [_ask(rule.id, rule.needs, rule.check, subject, subject, unread) for rule in rules]


def run_cluster(rules: Iterable[ClusterRule], subjects: Sequence[NodeSubject]) -> list[RuleResult]:
    """What every rule says of a cluster with at least one GPU node, in order. Never raises."""
    unread: dict[str, bool] = {}
    return [_ask(rule.id, rule.needs, rule.check, subjects, subjects[0], unread) for rule in rules] if subjects else []


def _ask(
    rule: str, needs: Sequence[str], check: Callable[[T], RuleResult], asked: T, one: NodeSubject, unread: dict[str, bool]
) -> RuleResult:
    """`unread` remembers from rule to rule which sections could not be read."""
    for section in needs:
        if section not in unread:
            unread[section] = not one.snapshot.knows(section)
        if unread[section]:
            report = one.snapshot.section(section)
            reason = report.reason or f"The section {section} was not read."
            return RuleResult(rule=rule, status=Status.UNKNOWN, reason=reason)
    try:
        return check(asked)
    except Exception as error:  # noqa: BLE001 - here, per rule: one rule's mistake must not cost the others
        _log.exception("rule %s failed", rule)
        return RuleResult(rule=rule, status=Status.UNKNOWN, reason=f"Muster's rule {rule} failed ({type(error).__name__}).")


def settle(results: Iterable[RuleResult], subject: NodeSubject) -> tuple[list[RuleResult], dict[str, datetime]]:
    """The results without findings that have not lasted long enough, and since when those are seen (`rule|key`).

    A rule that could say nothing this time keeps what was pending: silence is neither good nor bad news.
    """
    settled, pending = [], {}
    before = subject.memory.pending
    for result in results:
        lasting = []
        for finding in result.findings:
            name = f"{finding.rule}|{finding.key}"
            since = before.get(name, subject.now)
            if finding.sustain_s:
                pending[name] = since
            if (subject.now - since).total_seconds() >= finding.sustain_s:
                lasting.append(finding)
        if not could_look(result):
            pending |= {name: since for name, since in before.items() if name.startswith(f"{result.rule}|")}
        blind = (f"{result.rule}|{key}" for key in result.blind)
        pending |= {name: before[name] for name in blind if name in before}
        settled.append(msgspec.structs.replace(result, findings=tuple(lasting)))
    return settled, pending


def findings(results: Iterable[RuleResult]) -> list[Finding]:
    """All findings of these results, in order."""
    return [finding for result in results for finding in result.findings]
