"""`manage.py run` as its users meet it: whole starts, whole ends, and what a kill leaves behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.embedded.helpers import ROOT, descendants, ended, environment, free_port, wait_until

# One cluster that refuses at once: what these tests look at does not depend on clusters, and it must not delay the page.
KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: nowhere, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: reader, user: {token: none}}]
contexts: [{name: nowhere, context: {cluster: nowhere, user: reader}}]
current-context: nowhere
"""


@dataclass
class Run:
    process: subprocess.Popen[bytes]
    output: Path
    port: int

    def printed(self) -> str:
        return self.output.read_text()

    @property
    def link(self) -> str:
        return re.findall(r"https?://\S+", self.printed())[-1]

    def get(self, path: str) -> tuple[int, str]:
        """(status, address after redirections)."""
        url = path if path.startswith("http") else f"http://127.0.0.1:{self.port}{path}"
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        try:
            with opener.open(url, timeout=10) as answer:
                return answer.status, answer.url
        except urllib.error.HTTPError as error:
            return error.code, error.url

    def is_ready(self) -> bool:
        """Whether /readyz answers 200; the port stays open while the web server restarts, so a request may wait past 10 s."""
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False


@dataclass
class Folder:
    """A data folder and how commands are run on it."""

    home: Path
    port: int
    cluster: str = "127.0.0.1:9"
    more: dict[str, str] = field(default_factory=dict)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "manage.py", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        self.kubeconfig.write_text(KUBECONFIG.replace("127.0.0.1:9", self.cluster))
        settings = {"MUSTER_HOME": str(self.home), "MUSTER_KUBECONFIG": str(self.kubeconfig), "MUSTER_NO_BOOTSTRAP": "1"}
        return environment(**settings, **self.more)

    @property
    def kubeconfig(self) -> Path:
        return self.home.parent / "kubeconfig"

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )

    @contextlib.contextmanager
    def begin(self) -> Iterator[Run]:
        """A start that leads its own process group, as one typed at a terminal does."""
        output = self.home.parent / "output"
        with output.open("w") as file:
            process = subprocess.Popen(
                self.command("run", "--port", str(self.port)),
                cwd=ROOT,
                env=self.environment,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        try:
            yield Run(process, output, self.port)
        finally:
            below = descendants(process.pid)
            process.kill()
            process.wait()
            for pid in below:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    @contextlib.contextmanager
    def started(self) -> Iterator[Run]:
        with self.begin() as run:
            wait_until(lambda: "/sign-in/" in run.printed() or run.process.poll() is not None, patience=90)
            assert run.process.poll() is None, run.printed()
            yield run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("run") / "home", free_port())


def _gone(pids: set[int], patience: float = 15.0) -> None:
    wait_until(lambda: all(map(ended, pids)), patience)


def test_starts_that_are_killed_on_the_way_do_no_harm(folder: Folder) -> None:
    """The next tests begin on what this one leaves behind."""
    with folder.begin() as run:
        wait_until(lambda: (folder.home / "postgres.new" / "global").exists() or run.process.poll() is not None)
        run.process.kill()
    assert not (folder.home / "postgres").exists()
    with folder.begin() as run:
        wait_until(lambda: (folder.home / "postgres" / "postmaster.pid").exists() or run.process.poll() is not None)
        below = descendants(run.process.pid)
        assert below
        run.process.kill()
        _gone(below)
    assert "First look" not in run.printed(), "killed too late to interrupt the migrations"


def test_a_run_and_everything_that_happens_to_it(folder: Folder) -> None:
    with folder.started() as run:
        assert run.printed().rstrip().splitlines()[-1] == run.link
        assert run.get("/healthz")[0] == 200
        assert "/sign-in" in run.get("/")[1]
        assert run.get(run.link)[0] == 200
        assert run.get(run.link)[0] == 200, "reading the link does not use it up"

        second = folder.call("run")
        assert second.returncode == 1
        assert second.stderr.strip() == (
            f"Muster is already running in this folder: pid {run.process.pid}, http://127.0.0.1:{folder.port}/"
        )

        elsewhere = Folder(folder.home.parent / "elsewhere", folder.port).call("run", "--port", str(folder.port))
        assert elsewhere.returncode == 1
        assert re.fullmatch(rf"Port {folder.port} is used by another program: .*--port \d+\.", elsewhere.stderr.strip())
        assert not (folder.home.parent / "elsewhere" / "postgres").exists()

        token = folder.call("create_token", "robot", "--role", "viewer")
        assert token.returncode == 0, token.stderr
        assert re.fullmatch(r"\S+", token.stdout.strip())

        postmaster = int((folder.home / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        web = min(_named(descendants(run.process.pid), "fleet.embedded.web"))
        for victim, name in ((postmaster, "Postgres"), (web, "The web server")):
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda name=name: f"{name} was killed by SIGKILL; starting it again in 1 s" in run.printed())
        wait_until(run.is_ready, patience=90)

        below = descendants(run.process.pid)
        assert len(below) > 10
        os.killpg(run.process.pid, signal.SIGINT)  # as Ctrl-C does: the whole foreground group
        assert run.process.wait(30) == 0
        _gone(below, patience=2)
    assert run.printed().splitlines()[-2:] == ["Stopping.", "Stopped."]
    assert "Traceback" not in run.printed()


def test_a_killed_run_leaves_no_process_and_the_next_starts_at_once(folder: Folder) -> None:
    with folder.started() as run:
        below = descendants(run.process.pid)
        run.process.kill()
        run.process.wait()
        with folder.started() as following:
            _gone(below, patience=1)
            facts = json.loads((folder.home / "lock").read_text())
            assert (facts["pid"], facts["port"], facts["ready"]) == (following.process.pid, folder.port, True)
            assert following.get("/healthz")[0] == 200
            below = descendants(following.process.pid)
            following.process.terminate()
            assert following.process.wait(30) == 0
            _gone(below, patience=2)
    assert "Traceback" not in following.printed()


def test_a_command_of_its_own_finds_what_the_run_left_and_leaves_nothing(folder: Folder) -> None:
    """Also shows that the user made beside the first run outlived its kill."""
    again = folder.call("create_token", "robot")
    assert again.returncode == 0, again.stderr
    assert not (folder.home / "postgres" / "postmaster.pid").exists()
    assert (folder.home / "lock").read_text() == ""


@pytest.mark.parametrize("moment", ["", "is starting", "First run of 1 cluster"])
def test_ctrl_c_at_any_moment_of_a_start_ends_it_without_a_word_too_many(tmp_path: Path, moment: str) -> None:
    """While Python still imports, while the servers come up, and while a cluster that never answers is looked at."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        folder = Folder(tmp_path / "home", free_port(), cluster=f"127.0.0.1:{silent.getsockname()[1]}")
        with folder.begin() as run:
            began = time.monotonic()
            wait_until(lambda: moment in run.printed() and time.monotonic() > began + 0.4, patience=60)
            below = descendants(run.process.pid)
            os.killpg(run.process.pid, signal.SIGINT)
            assert run.process.wait(15) in (0, 130), run.printed()
            _gone(below, patience=2)
        assert "Traceback" not in run.printed()
        assert "/sign-in/" not in run.printed()


def test_a_database_of_the_users_own_that_does_not_answer_is_a_sentence(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "home", free_port(), more={"DATABASE_URL": "postgres://me:secret@127.0.0.1:9/mine"})
    done = folder.call("run", "--port", str(folder.port))
    assert done.returncode == 1
    assert done.stderr.startswith("The database cannot be used: connection failed")
    assert len(done.stderr.strip().splitlines()) == 1
    assert "secret" not in done.stderr
    assert not (folder.home / "postgres").exists()


def _named(pids: set[int], word: str) -> set[int]:
    listing = subprocess.run(["ps", "-axo", "pid=,command="], capture_output=True, text=True, check=True).stdout
    lines = (line.strip().partition(" ") for line in listing.splitlines())
    return {int(pid) for pid, _, command in lines if int(pid) in pids and word in command}
