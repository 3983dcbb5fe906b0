"""Broken conditions as findings: one for each kind, in words that stay while the figures move."""

from __future__ import annotations

import re
from pathlib import Path

from fleet.domain.classes import compliance as class_keeping
from fleet.domain.evaluation import registry
from fleet.domain.findings import Severity
from fleet.domain.pools import compliance
from fleet.domain.pools.availability import AT_RISK, VIOLATED
from fleet.domain.pools.compliance import Violation
from fleet.domain.pools.findings import CLASS_RULES, MOST_NODES, POOL_RULES, of_class, of_pool


def codes(module: object) -> set[str]:
    return set(re.findall(r'id="(\w+)"', Path(str(vars(module)["__file__"])).read_text()))


def test_every_condition_of_a_pool_and_a_class_has_its_words() -> None:
    assert codes(compliance) == set(POOL_RULES)
    assert codes(class_keeping) <= set(CLASS_RULES)
    assert all("{name}" in rule.text and rule.remedy for rule in (*POOL_RULES.values(), *CLASS_RULES.values()))
    assert registry.title("pool_driver_skew") == "Several drivers in one pool"


def test_two_conditions_of_one_kind_are_one_finding_with_the_nodes_of_both() -> None:
    rows = [
        Violation(id="missing_taint", state=VIOLATED, text="2 nodes have no taint a.", nodes=(("east", "n1"), ("east", "n2"))),
        Violation(id="missing_taint", state=VIOLATED, text="1 node has no taint b.", nodes=(("east", "n2"),)),
    ]
    (result,) = of_pool("h100", rows)
    assert (result.rule, result.key, result.subject, result.severity) == ("pool_missing_taint", "h100", "pool", Severity.WARNING)
    assert [item.key for item in result.evidence] == ["east/n1", "east/n2"]


def test_the_text_carries_no_figure_of_the_reason() -> None:
    rows = {
        of_pool("h100", [Violation(id="availability_at_risk", state=AT_RISK, text=f"{ready} of 10 nodes are ready.")])[0].text
        for ready in (7, 8)
    }
    assert len(rows) == 1


def test_many_nodes_are_named_in_part_and_counted() -> None:
    nodes = tuple(("east", f"n{number:03}") for number in range(50))
    (result,) = of_pool("h100", [Violation(id="wrong_mode", state=VIOLATED, text="", nodes=nodes)])
    assert len(result.evidence) == MOST_NODES + 1 == 21
    assert result.evidence[-1].value == "30"
    (whole,) = of_pool("h100", [Violation(id="wrong_mode", state=VIOLATED, text="", nodes=nodes[:MOST_NODES])])
    assert {entry.value for entry in whole.evidence} == {"affected"}


def test_what_a_class_inherits_is_one_finding_that_names_its_pools() -> None:
    rows = [
        Violation(id="wrong_mode", state=VIOLATED, text="Pool a: …", pool="a"),
        Violation(id="empty", state=VIOLATED, text="Pool b: …", pool="b"),
        Violation(id="wrong_driver", state=AT_RISK, text="…", nodes=(("east", "n1"),)),
    ]
    pools, nodes = of_class("full", rows)
    assert (pools.rule, pools.severity, [item.key for item in pools.evidence]) == ("class_pools", Severity.CRITICAL, ["a", "b"])
    assert (nodes.rule, nodes.subject) == ("class_wrong_nodes", "workload_class")
