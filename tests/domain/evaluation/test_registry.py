"""One registry: every id once, every finding of an id in it, and every id of it made by some test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fleet.domain.evaluation.registry import REGISTRY, all_rules, title
from fleet.domain.findings import Severity
from tests.beside import environment_beside

ROOT = Path(__file__).parents[3]
ROOMS = ("devices", "health", "lint", "pools", "classes")
TESTS = [f"tests/domain/{room}" for room in ROOMS]
MADE_UP = {"r"}
"""Ids of tests that are about results, not about a rule."""


def test_every_id_is_there_once_with_a_title_of_its_own() -> None:
    assert [rule for rule, times in Counter(rule.id for rule in all_rules()).items() if times > 1] == []
    assert {rule.room for rule in all_rules()} == set(ROOMS)
    assert all(rule.title and rule.title[0].isupper() and rule.title[-1] != "." for rule in all_rules())


def test_a_rule_of_an_earlier_version_has_its_id_as_title() -> None:
    assert title("no_such_rule") == "No such rule"


@pytest.mark.slow
def test_every_finding_that_a_test_makes_is_registered_and_every_registered_id_is_made(tmp_path: Path) -> None:
    made = findings_made(tmp_path / "made.json")
    ids = {id_ for id_, _ in made if not id_.startswith("violation:")} - MADE_UP
    assert ids - set(REGISTRY) == set(), "not registered"
    too_severe = [
        (id_, severity) for id_, severity in made if id_ in REGISTRY and Severity(severity).rank > REGISTRY[id_].severity.rank
    ]
    assert too_severe == [], "worse than registered"
    violations = {id_.removeprefix("violation:") for id_, _ in made if id_.startswith("violation:")}
    made_as_violation = {f"{prefix}_{violation}" for prefix in ("pool", "class") for violation in violations}
    assert set(REGISTRY) - ids - made_as_violation == set(), "made by no test"


def findings_made(path: Path) -> set[tuple[str, str]]:
    """(id, severity) of every finding, and (violation:id, state) of every violation, of the fast tests of these rooms."""
    environment = environment_beside(MUSTER_FINDINGS_MADE=str(path))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.domain.finding_recorder", "-m", "not slow", *TESTS]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-2000:]
    return {(id_, severity) for id_, severity in json.loads(path.read_text())}
