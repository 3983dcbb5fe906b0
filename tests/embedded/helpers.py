"""Processes for tests about processes. Each helper waits for a fact, never for a time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def wait_until(fact: Callable[[], object], patience: float = 15.0) -> None:
    deadline = time.monotonic() + patience
    while not fact():
        assert time.monotonic() < deadline, f"waited {patience} s in vain"
        time.sleep(0.02)


def python(code: str, **options: object) -> subprocess.Popen[str]:
    """A Python of its own session that runs `code` with the project on its path."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        **options,  # type: ignore[call-overload]
    )


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        assert process.stderr is not None
        raise AssertionError(process.stderr.read())
    return line


def ended(pid: int) -> bool:
    """Whether a process is gone, or is a zombie nobody has to mind."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


@contextlib.contextmanager
def cleaned_up(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Leaves nothing of a test's own process group behind, however the test ends."""
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
