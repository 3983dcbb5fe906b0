"""Broken conditions as findings: one for each kind, in words that stay while the figures move."""

from __future__ import annotations

import re
from pathlib import Path

from fleet.domain import rulebook
from fleet.domain.classes import keeping as class_keeping
from fleet.domain.findings import Severity
from fleet.domain.pools import keeping
from fleet.domain.pools.findings import CLASS_RULES, MOST_NODES, POOL_RULES, of_class, of_pool
from fleet.domain.pools.keeping import AT_RISK, BROKEN, Broken


def codes(module: object) -> set[str]:
    return set(re.findall(r'code="(\w+)"', Path(str(vars(module)["__file__"])).read_text()))


def test_every_condition_of_a_pool_and_a_class_has_its_words() -> None:
    assert codes(keeping) == set(POOL_RULES)
    assert codes(class_keeping) <= set(CLASS_RULES)
    assert all("{name}" in rule.text and rule.remedy for rule in (*POOL_RULES.values(), *CLASS_RULES.values()))
    assert rulebook.title("pool_driver_skew") == "Several drivers in one pool"


def test_two_conditions_of_one_kind_are_one_finding_with_the_nodes_of_both() -> None:
    told = [
        Broken(code="missing_taint", state=BROKEN, text="2 nodes have no taint a.", nodes=(("east", "n1"), ("east", "n2"))),
        Broken(code="missing_taint", state=BROKEN, text="1 node has no taint b.", nodes=(("east", "n2"),)),
    ]
    (found,) = of_pool("h100", told)
    assert (found.rule, found.key, found.subject, found.severity) == ("pool_missing_taint", "h100", "pool", Severity.WARNING)
    assert [one.key for one in found.evidence] == ["east/n1", "east/n2"]


def test_the_text_carries_no_figure_of_the_reason() -> None:
    said = {
        of_pool("h100", [Broken(code="below_promise", state=AT_RISK, text=f"{ready} of 10 nodes are ready.")])[0].text
        for ready in (7, 8)
    }
    assert len(said) == 1


def test_many_nodes_are_named_in_part_and_counted() -> None:
    nodes = tuple(("east", f"n{number:03}") for number in range(50))
    (found,) = of_pool("h100", [Broken(code="wrong_mode", state=BROKEN, text="", nodes=nodes)])
    assert len(found.evidence) == MOST_NODES + 1
    assert found.evidence[-1].value == str(50 - MOST_NODES)


def test_what_a_class_inherits_is_one_finding_that_names_its_pools() -> None:
    told = [
        Broken(code="wrong_mode", state=BROKEN, text="Pool a: …", pool="a"),
        Broken(code="empty", state=BROKEN, text="Pool b: …", pool="b"),
        Broken(code="wrong_driver", state=AT_RISK, text="…", nodes=(("east", "n1"),)),
    ]
    pools, nodes = of_class("full", told)
    assert (pools.rule, pools.severity, [one.key for one in pools.evidence]) == ("class_pools", Severity.CRITICAL, ["a", "b"])
    assert (nodes.rule, nodes.subject) == ("class_wrong_nodes", "workload_class")


def test_an_unknown_condition_is_still_told() -> None:
    (found,) = of_pool("h100", [Broken(code="new_thing", state=AT_RISK, text="")])
    assert (found.rule, found.text) == ("pool_new_thing", "h100: new thing.")
