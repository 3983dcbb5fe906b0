"""How `manage.py test` divides the suite: side by side what can be, alone what starts whole installations."""

from __future__ import annotations

from fleet.management.commands.test import INSTALLATIONS, stages


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
