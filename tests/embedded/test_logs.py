"""Logs of the supervisor's children: private, and bounded while the child goes on writing."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from fleet.embedded import processes


def test_a_log_is_private_and_rotated_while_its_child_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LARGEST_LOG", 1_000)
    log = tmp_path / "log" / "child.log"
    code = "import time\nfor n in range(10_000): print(n, flush=True); time.sleep(0.001)"
    child = processes.spawn([sys.executable, "-c", code], log=log)
    try:
        deadline = time.monotonic() + 20
        while log.stat().st_size <= 1_000 and time.monotonic() < deadline:
            time.sleep(0.05)
        before = log.stat().st_ino
        processes.rotate(log)
        kept = log.with_name("child.log.1")
        assert kept.stat().st_size > 1_000
        assert log.stat().st_ino == before
        while log.stat().st_size == 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert b"\0" not in log.read_bytes(), "the child appends to the emptied file"
        assert [oct(path.stat().st_mode & 0o777) for path in (log.parent, log, kept)] == ["0o700", "0o600", "0o600"]
    finally:
        processes.stop(child, ())


def test_a_log_of_exactly_the_largest_size_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LARGEST_LOG", 10)
    log = tmp_path / "child.log"
    log.write_bytes(b"x" * 10)
    processes.rotate(log)
    assert log.stat().st_size == 10
