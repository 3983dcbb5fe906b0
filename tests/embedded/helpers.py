"""Processes for tests about processes. Each helper waits for a fact, never for a time."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_THEIRS = ("MUSTER_", "DATABASE_", "SECRET_", "PORT", "ALLOWED_", "KUBE", "PYTHONPATH", "VIRTUAL_ENV")


def wait_until(fact: Callable[[], object], patience: float = 15.0) -> None:
    deadline = time.monotonic() + patience
    while not fact():
        assert time.monotonic() < deadline, f"waited {patience} s in vain"
        time.sleep(0.02)


def environment(**more: str) -> dict[str, str]:
    """Returns this process's environment without Muster's own settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith(NOT_THEIRS)} | more


def python(code: str) -> subprocess.Popen[str]:
    """A Python of its own session that runs `code` with the project on its path."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        assert process.stderr is not None
        raise AssertionError(process.stderr.read())
    return line


def ended(pid: int) -> bool:
    """Whether a process is gone, or is a zombie."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return not state.strip() or state.startswith("Z")


def descendants(pid: int) -> set[int]:
    """Every process below `pid`, whatever group or session it made its own."""
    listing = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listing.splitlines()]
    rows = {pid}
    while more := {child for child, parent in pairs if parent in rows} - rows:
        rows |= more
    return rows - {pid}


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


@contextlib.contextmanager
def cleaned_up(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Leaves nothing of a test's own process group behind, however the test ends."""
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
