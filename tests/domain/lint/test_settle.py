"""Findings that must last: silence, of a whole rule or about one key, is neither good nor bad news."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fleet.domain.evaluation.rules import settle
from fleet.domain.evaluation.subject import NodeHistory
from fleet.domain.findings import Finding, RuleResult, Severity, Status
from tests.domain.lint.subjects import NOW, subject_of


def seen(key: str) -> Finding:
    return Finding(rule="r", severity=Severity.WARNING, text="It is so.", key=key, sustain_s=300)


def test_it_counts_when_it_has_lasted() -> None:
    for age, counts in ((299, False), (300, True)):
        history = NodeHistory(pending={"r|a": NOW - timedelta(seconds=age)})
        (result,), pending = settle(
            [RuleResult(rule="r", status=Status.WARN, findings=(seen("a"),))], subject_of(history=history)
        )
        assert bool(result.findings) is counts
        assert pending == history.pending


@pytest.mark.parametrize("status", [Status.UNKNOWN, Status.NOT_ENABLED, Status.WAITING])
def test_a_rule_that_says_nothing_keeps_what_was_pending(status: Status) -> None:
    history = NodeHistory(pending={"r|a": NOW, "other|a": NOW})
    _, pending = settle([RuleResult(rule="r", status=status)], subject_of(history=history))
    assert pending == {"r|a": NOW}


def test_a_rule_that_was_blind_to_one_key_has_seen_that_the_others_are_gone() -> None:
    history = NodeHistory(pending={"r|a": NOW, "r|b": NOW})
    _, pending = settle([RuleResult(rule="r", status=Status.UNKNOWN, blind=("a",))], subject_of(history=history))
    assert pending == {"r|a": NOW}


def test_a_key_the_rule_was_blind_to_keeps_what_was_pending() -> None:
    history = NodeHistory(pending={"r|a": NOW, "r|b": NOW, "r|c": NOW})
    _, pending = settle([RuleResult(rule="r", status=Status.PASS, blind=("b", "d"))], subject_of(history=history))
    assert pending == {"r|b": NOW}
