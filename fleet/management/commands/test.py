"""`manage.py test [arguments of pytest]`: every test, on its own Postgres and broker."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from django.core.management.base import BaseCommand

from fleet.embedded import paths, processes, programs
from fleet.embedded.broker import Broker
from fleet.embedded.postgres import Postgres
from fleet.embedded.processes import StartError
from fleet.embedded.supervisor import Stopped, on_end_signals, raise_stopped

# The settings of the developer's own installation must not reach the tests.
SETTINGS = (
    "MUSTER_",
    "DATABASE_URL",
    "SECRET_KEY",
    "PORT",
    "ALLOWED_HOSTS",
    "OIDC_",
    "KUBECONFIG",
    "DJANGO_",
    "DEBUG",
    "PG",
)


INSTALLATIONS = ("tests/browser", "tests/day", "tests/embedded")
"""Tests that start whole installations and mostly wait for them: at most one browser test beside one other."""
MOST_WORKERS = 4
GROUP = re.compile(r"@(browser|installations)$")
MOST_TRIED_AGAIN = 5
"""Of one stage: more that fail have one cause, and no second try hides it."""
TESTS_FAILED = 1
"""The code with which pytest ends then; others mean that it could not run."""


def stages(arguments: tuple[str, ...], cores: int = os.cpu_count() or 1) -> list[tuple[str, ...]]:
    """Returns the runs of pytest, one after the other: first every test that shares a machine, then whole installations.

    Arguments that name tests, or choose workers, are one run.
    """
    names_tests = any(not argument.startswith("-") or argument.startswith("-n") for argument in arguments)
    if names_tests or cores < 2:
        return [arguments]
    many = ("-n", str(min(cores, MOST_WORKERS)), "--dist", "loadfile", *(f"--ignore={path}" for path in INSTALLATIONS))
    return [(*arguments, *many), (*arguments, "-n", "2", "--dist", "loadgroup", *INSTALLATIONS)]


class Command(BaseCommand):
    help = "Runs every test on its own Postgres and broker. Arguments go to pytest."
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        """Without argparse: pytest's options are pytest's to read."""
        sys.exit(self.handle(*argv[2:]))

    def handle(self, *arguments: str, **_: Any) -> int:  # type: ignore[override]
        self._provide_programs()
        try:
            with tempfile.TemporaryDirectory(prefix="muster-test-") as folder, on_end_signals(raise_stopped):
                return self._run(Path(folder).resolve(), arguments)
        except StartError as error:
            self.stderr.write(str(error))
            return 1
        except Stopped:
            return 130

    def _provide_programs(self) -> None:
        absent = programs.missing()
        if not absent:
            return
        if not programs.can_install():
            for program in absent:
                self.stderr.write(f"{program.name} is not installed, so its tests cannot run: {program.hint}.")
            return
        self.stderr.write(f"Installing {', '.join(program.debian for program in absent)} through apt, for the tests.")
        for failure in programs.install(absent):
            self.stderr.write(failure)

    def _run(self, home: Path, arguments: tuple[str, ...]) -> int:
        (home / "static").mkdir()  # WhiteNoise warns of a missing folder, once for each client of a test
        database, broker = Postgres(home, forgetful=True), Broker(home, forgetful=True)
        try:
            broker.start()
            database.start()
            broker.wait()
            database.wait()
            environment = _environment(home)
            runs = stages(arguments)
            codes = [self._stage(stage, environment, home / f"stage-{number}.xml") for number, stage in enumerate(runs)]
            return next((code for code in codes if code), 0)
        finally:
            broker.stop()
            database.stop()

    def _stage(self, arguments: tuple[str, ...], environment: dict[str, str], kept: Path) -> int:
        """Runs pytest, and a few failed tests of the whole suite once more, alone: two cores shared by many processes stall.

        A test that passes only then is named, as a defect of the test or of what it tests. One that fails twice fails.
        """
        if "--dist" not in arguments:  # not the whole suite
            return _pytest(arguments, environment)
        code = _pytest(("-o", "junit_family=xunit1", f"--junitxml={kept}", *arguments), environment)
        failed = failed_tests(kept)
        if code != TESTS_FAILED or not 0 < len(failed) <= MOST_TRIED_AGAIN:
            return code
        self.stderr.write(f"Failed, tried again alone: {' '.join(failed)}")
        options = [argument for argument in arguments[: arguments.index("-n")] if argument.startswith("-")]
        code = _pytest((*options, "-n", "0", *failed), environment)
        if not code:
            self.stderr.write(f"UNSTABLE, passed only alone: {' '.join(failed)}")
        return code


def failed_tests(record: Path) -> list[str]:
    """Returns the ids of the tests that failed, by pytest's JUnit record (xunit1, which names files); none without one.

    pytest-xdist adds the name of a test's group to its id.
    """
    if not record.exists():
        return []
    cases = ElementTree.parse(record).iter("testcase")  # noqa: S314 pytest wrote it just now
    failed = (case for case in cases if case.find("failure") is not None or case.find("error") is not None)
    return sorted({GROUP.sub("", f"{case.get('file')}::{case.get('name')}") for case in failed})


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    return {
        **kept,
        "DATABASE_URL": paths.database_url(home),
        "MUSTER_BROKER_URL": paths.broker_url(home),
        "MUSTER_HOME": str(home),
        "MUSTER_DEMO": "no",
        "MUSTER_NO_BOOTSTRAP": "1",
    }


def _pytest(arguments: tuple[str, ...], environment: dict[str, str]) -> int:
    """Pytest with our terminal. Ctrl-C reaches it as well as us: it ends by itself, and we wait for it."""
    child = subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments],
        env=environment,
        cwd=paths.ROOT,
        preexec_fn=processes.die_with_parent(signal.SIGTERM) if processes.LINUX else None,
    )
    try:
        return child.wait()
    except Stopped as stopped:
        if stopped.number != signal.SIGINT:
            child.send_signal(signal.SIGINT)
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        raise
