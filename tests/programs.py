"""For tests that drive a program no Python package brings. A pytest plugin: it lists at the end what could not run.

def test_nodes_through_kubectl() -> None:
    kubectl = need("kubectl")
"""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from fleet.embedded.programs import PROGRAMS, Program

_ABSENT = "is not here: "


def need(name: str) -> str:
    """The program's path. Without it the test fails where CI=true, unless the program cannot be had at all on this
    system, and is else left out and named at the end."""
    program = PROGRAMS[name]
    if path := program.path():
        return path
    sentence = f"{name} {_ABSENT}{program.hint}"
    if os.environ.get("CI", "").lower() in {"1", "true"} and can_be_had(program):
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names every test that did not run for want of a program, whatever pytest reports."""
    absent: dict[str, list[str]] = {}
    for report in terminalreporter.getreports("skipped"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple | list) else ""
        if _ABSENT in reason:
            absent.setdefault(reason.removeprefix("Skipped: "), []).append(report.nodeid)
    for reason, tests in sorted(absent.items()):
        terminalreporter.section(f"not run: {reason}", sep="-")
        for test in sorted(tests):
            terminalreporter.line(test)


def can_be_had(program: Program) -> bool:
    """Whether apt knows the package. Where there is no apt a person can still install it, so the answer is yes."""
    if shutil.which("apt-cache") is None:
        return True
    known = subprocess.run(["apt-cache", "policy", program.debian], capture_output=True, text=True, check=False).stdout
    return "Candidate:" in known and "Candidate: (none)" not in known
