"""NodeReadinessRules on nodes: who is kept out by which rule, for which condition, since when; dry runs; rules not read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Severity, Status
from fleet.domain.label_selectors import Requirement
from fleet.domain.snapshot import Condition, Taint
from fleet.domain.snapshot.readiness_rules import NodeReadinessRule, RequiredCondition
from fleet.domain.snapshot.sections import Outcome, SectionReport
from tests.builders import make_node
from tests.domain.health.subjects import NOW, ask, subject
from tests.domain.subjects import reporting

TAINT = Taint("readiness.k8s.io/network", "pending", "NoSchedule")
READY = Condition(type="Ready", status="True")
SINCE = NOW - timedelta(hours=2)
DOWN = Condition(type="NetworkReady", status="False", last_transition_at=SINCE)
RULE = NodeReadinessRule(name="network", conditions=(RequiredCondition("NetworkReady", "True"),), taint=TAINT, continuous=True)


def gated(
    *conditions: Condition, rules: tuple[NodeReadinessRule, ...] = (RULE,), outcome: Outcome = Outcome.COLLECTED, **fields: Any
) -> NodeSubject:
    made = subject(node=make_node(conditions=(READY, *conditions), **fields))
    report = SectionReport(name="readiness_rules", outcome=outcome, reason="" if outcome is Outcome.COLLECTED else "Forbidden.")
    sections = made.cluster.snapshot.sections | {"readiness_rules": report}
    return reporting(made, structs.replace(made.cluster.snapshot, sections=sections, readiness_rules=rules))


def test_a_node_that_a_rule_keeps_out() -> None:
    result = ask("readiness_rule", gated(DOWN, taints=(TAINT,)))
    (finding,) = result.findings
    assert (finding.key, finding.severity, result.status) == ("network", Severity.WARNING, Status.WARN)
    assert "condition NetworkReady is False since 2026-11-23 10:00 UTC and must be True" in finding.text
    assert [(item.source, item.key, item.value) for item in finding.evidence] == [
        ("condition", "NetworkReady", "False"),
        ("taint", TAINT.key, "pending:NoSchedule"),
    ]
    assert "kubectl describe node" in finding.remedy


def test_a_condition_that_is_missing_is_not_met() -> None:
    (finding,) = ask("readiness_rule", gated(taints=(TAINT,))).findings
    assert "condition NetworkReady is missing and must be True" in finding.text


@pytest.mark.parametrize(("required", "met"), [("Unknown", True), ("False", False)])
def test_an_absent_condition_counts_as_unknown(required: str, met: bool) -> None:
    rule = structs.replace(RULE, conditions=(RequiredCondition("NetworkReady", required),))
    assert (ask("readiness_rule", gated(taints=(TAINT,), rules=(rule,))).findings == ()) is met


def test_while_the_node_starts_it_is_information() -> None:
    young = gated(DOWN, taints=(TAINT,))
    young = structs.replace(young, history=structs.replace(young.history, first_seen_at=NOW - timedelta(minutes=2)))
    assert [finding.severity for finding in ask("readiness_rule", young).findings] == [Severity.INFO]


def test_a_dry_run_keeps_no_pod_out() -> None:
    (finding,) = ask("readiness_rule", gated(DOWN, rules=(structs.replace(RULE, dry_run=True),))).findings
    assert finding.severity is Severity.INFO
    assert "would keep the node out (dry run)" in finding.text


def test_a_continuous_rule_without_its_taint_is_not_enforced() -> None:
    (finding,) = ask("readiness_rule", gated(DOWN)).findings
    assert "its taint is missing" in finding.text
    once = structs.replace(RULE, continuous=False)
    assert ask("readiness_rule", gated(DOWN, rules=(once,))).findings == ()


def test_a_node_that_meets_the_rule_passes() -> None:
    up = Condition(type="NetworkReady", status="True")
    assert ask("readiness_rule", gated(up)).status is Status.PASS


def test_a_rule_for_other_nodes_does_not_apply() -> None:
    other = structs.replace(RULE, selector=(Requirement("pool", "in", ("edge",)),))
    assert ask("readiness_rule", gated(DOWN, rules=(other,))).status is Status.NOT_APPLICABLE


def test_without_rules_or_the_right_to_read_them() -> None:
    assert ask("readiness_rule", gated(DOWN, rules=())).status is Status.NOT_ENABLED
    refused = gated(DOWN, rules=(), outcome=Outcome.FORBIDDEN, taints=(TAINT,))
    assert ask("readiness_rule", refused).status is Status.UNKNOWN


def test_a_selector_that_cannot_be_read_is_unknown() -> None:
    odd = structs.replace(RULE, selects=False)
    result = ask("readiness_rule", gated(DOWN, rules=(odd,), taints=(TAINT,)))
    assert (result.status, result.blind, result.findings) == (Status.UNKNOWN, ("network",), ())
