"""`manage.py test [arguments of pytest]`: every test, on a Postgres and a broker of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from fleet.embedded import paths, processes, programs
from fleet.embedded.broker import Broker
from fleet.embedded.postgres import Postgres
from fleet.embedded.processes import StartError
from fleet.embedded.supervisor import Stopped, on_end_signals, raise_stopped

# What the developer's own installation is told must not reach the tests.
OURS = (
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


class Command(BaseCommand):
    help = "Runs every test on a Postgres and a broker of its own. Arguments go to pytest."
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
                self.stderr.write(f"{program.name} is not here, so its tests cannot run: {program.hint}.")
            return
        self.stderr.write(f"Installing {', '.join(program.debian for program in absent)} through apt, for the tests.")
        for failure in programs.install(absent):
            self.stderr.write(failure)

    def _run(self, home: Path, arguments: tuple[str, ...]) -> int:
        (home / "static").mkdir()  # WhiteNoise warns of a folder that is not there, once for each client of a test
        database, broker = Postgres(home, forgetful=True), Broker(home, forgetful=True)
        try:
            broker.start()
            database.start()
            broker.wait()
            database.wait()
            return _pytest(arguments, _environment(home))
        finally:
            broker.stop()
            database.stop()


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {
        **kept,
        "DATABASE_URL": paths.database_url(home),
        "MUSTER_BROKER_URL": paths.broker_url(home),
        "MUSTER_HOME": str(home),
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
