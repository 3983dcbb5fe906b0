"""How `manage.py test` divides the suite: side by side what can be, alone what starts whole installations."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from fleet.management.commands import test as command
from fleet.management.commands.test import INSTALLATIONS, Command, failed_tests, stages


def test_the_whole_suite_runs_in_two_stages_and_every_test_in_one_of_them() -> None:
    many, installations = stages(("-q",), cores=2)
    assert many == ("-q", "-n", "2", "--dist", "loadfile", *(f"--ignore={path}" for path in INSTALLATIONS))
    assert installations == ("-q", "-n", "2", "--dist", "loadgroup", *INSTALLATIONS)


def test_named_tests_run_as_they_are_named() -> None:
    assert stages(("tests/web", "-k", "pools"), cores=8) == [("tests/web", "-k", "pools")]
    assert stages(("-n", "2"), cores=8) == [("-n", "2")]


def test_one_core_runs_everything_in_one_go() -> None:
    assert stages((), cores=1) == [()]
    assert stages((), cores=64)[0][:2] == ("-n", "4")


ONE_FILE = """
from pathlib import Path

here = Path(__file__)


def test_passes_the_second_time() -> None:
    tried = here.with_suffix(".tried")
    before = tried.exists()
    tried.touch()
    assert before


def test_passes() -> None:
    with here.with_suffix(".passed").open("a") as file:
        file.write("again ")
"""


def run_stage(folder: Path, content: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """The exit code and the complaints of a stage whose tests are this file's."""
    options = tomllib.loads((command.paths.ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["addopts"]
    (folder / "pytest.ini").write_text(f"[pytest]\naddopts = {options}\nmarkers = pending: as in ours\n")
    (folder / "test_it.py").write_text(content)
    monkeypatch.setattr(command.paths, "ROOT", folder)
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": "", "HOME": str(folder)}
    printed: list[str] = []
    runner = Command()
    monkeypatch.setattr(runner.stderr, "write", lambda text: printed.append(text))
    arguments = ("-q", "-n", "2", "--dist", "loadgroup", "test_it.py")
    return runner._stage(arguments, environment, folder / "stage.xml"), "\n".join(printed)


def test_a_test_that_passes_only_alone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, printed = run_stage(tmp_path, ONE_FILE, monkeypatch)
    assert code == 0
    assert "UNSTABLE, passed only alone: test_it.py::test_passes_the_second_time" in printed
    assert (tmp_path / "test_it.passed").read_text() == "again ", "what passed is not run again"


def test_a_test_that_fails_twice_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, printed = run_stage(tmp_path, "def test_it() -> None:\n    assert False\n", monkeypatch)
    assert (code, "UNSTABLE" in printed) == (1, False)


def test_many_failures_are_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = "\n".join(f"def test_{number}() -> None:\n    assert False\n" for number in range(command.MOST_TRIED_AGAIN + 1))
    assert run_stage(tmp_path, content, monkeypatch) == (1, "")


def test_ids_are_read_without_the_group_of_pytest_xdist(tmp_path: Path) -> None:
    record = tmp_path / "stage.xml"
    record.write_text(
        '<testsuites><testsuite><testcase file="tests/a.py" name="test_b[x@y]@browser"><failure/></testcase>'
        '<testcase file="tests/a.py" name="test_a@installations"><error/></testcase>'
        '<testcase file="tests/a.py" name="test_c"/></testsuite></testsuites>'
    )
    assert failed_tests(record) == ["tests/a.py::test_a", "tests/a.py::test_b[x@y]"]
    assert failed_tests(tmp_path / "nothing") == []
