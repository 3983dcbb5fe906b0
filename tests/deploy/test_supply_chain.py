"""What a security review asks of the packages, images and papers."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.vulnerabilities import FOUND, NOT_RUN, verdict

ROOT = Path(__file__).resolve().parents[2]
CLEAN: dict[str, Any] = {"name": "a", "version": "1", "vulns": []}
SKIPPED = {"name": "b", "skip_reason": "not found on PyPI"}
BAD = {"name": "c", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}


@pytest.mark.parametrize(
    ("packages", "code", "line"),
    [
        ([CLEAN], 0, "1 packages, no known vulnerability"),
        ([CLEAN, SKIPPED], NOT_RUN, "could not run for 1 of 2 packages, of which nothing is known (b)"),
        ([], NOT_RUN, "could not run for 0 of 0 packages, of which nothing is known ()"),
        ([CLEAN, BAD, SKIPPED], FOUND, "c 2 has CVE-1: fixed in 3"),
    ],
)
def test_what_was_not_asked_is_no_clean_answer(packages: list[dict[str, Any]], code: int, line: str) -> None:
    answered, lines = verdict({"dependencies": packages})
    assert (answered, line in lines) == (code, True)


def test_the_bill_of_materials_names_every_pinned_package_with_its_hash(tmp_path: Path) -> None:
    target = tmp_path / "sbom.json"
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", "requirements.txt", "--output-reproducible", "--of", "JSON"]
    subprocess.run([*command, "-o", target], cwd=ROOT, check=True, capture_output=True, timeout=60)
    components = json.loads(target.read_text())["components"]
    pinned = set(re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[[a-z,]+\])?==", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    assert {component["name"] for component in components} == pinned
    assert all(reference["hashes"] for component in components for reference in component["externalReferences"])


def test_every_threat_names_tests_that_exist() -> None:
    text = (ROOT / "THREAT_MODEL.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert len(named) > 40
    for path, function in named:
        assert (ROOT / path).is_file(), path
        if function:
            names = {node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.FunctionDef)}
            assert function in names, f"{path}::{function}"
    rows = [line for line in text.splitlines() if re.match(r"\| T\d+ ", line)]
    assert len(rows) >= 25
    for row in rows:
        assert "`tests/" in row or "Accepted:" in row, row


def test_every_test_that_a_document_names_exists() -> None:
    for paper in (ROOT / "docs").rglob("*.md"):
        folder = ""
        for path in re.findall(r"`((?:tests/[\w/]+/)?test_\w+\.py)`", paper.read_text()):
            folder = path.rpartition("/")[0] or folder  # a bare name is in the folder of the one before
            assert (ROOT / folder / path.rpartition("/")[2]).is_file(), f"{paper.name}: {path}"


def test_the_papers_are_there_and_the_security_page_says_how_to_report() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    assert "Report" in text
    assert "THREAT_MODEL.md" in text
