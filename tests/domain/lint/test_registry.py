"""The tuple and the folder agree, and every rule is whole."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from fleet.domain.lint import rules
from fleet.domain.lint.rules import CLUSTER_RULES, RULES

FOLDER = Path(rules.__file__).parent
EVERY = (*RULES, *CLUSTER_RULES)


def test_folder_and_tuple_agree() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    listed = [import_module(f"fleet.domain.lint.rules.{name}").RULE for name in sorted(files)]
    assert {rule.id for rule in listed} == {rule.id for rule in EVERY}
    assert len(files) == len(EVERY)


def test_ids_are_slugs_and_stand_once() -> None:
    ids = [rule.id for rule in EVERY]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z][a-z_]{2,59}", item) for item in ids)


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.id)
def test_every_rule_says_what_it_is_about(rule: object) -> None:
    title = getattr(rule, "title", "")
    assert title
    assert title[0].isupper()
    assert len(title) < 60
    assert "nodes" in getattr(rule, "needs", ())


def test_findings_of_a_cluster_never_need_to_last() -> None:
    """Only nodes remember since when something is seen."""
    for path in FOLDER.glob("*.py"):
        if "ClusterRule" in path.read_text() and path.stem != "__init__":
            assert "sustain_s" not in path.read_text(), path.name


def test_rules_do_not_import_each_other() -> None:
    for path in FOLDER.glob("*.py"):
        if path.stem != "__init__":
            assert "fleet.domain.lint.rules" not in path.read_text(), path.name
