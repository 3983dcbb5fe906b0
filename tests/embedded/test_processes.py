from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from fleet.embedded import processes
from tests.embedded.helpers import cleaned_up, ended, first_line, python, wait_until

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-S",
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
]


def test_a_child_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    parent = f"""
import sys, time
from pathlib import Path
from fleet.embedded import processes
child = processes.spawn({SLEEP!r}, log=Path({str(tmp_path / "log")!r}))
print(child.pid, flush=True)
time.sleep(600)
"""
    with cleaned_up(python(parent)) as process:
        child = int(first_line(process))
        assert not ended(child)
        process.kill()
        wait_until(lambda: ended(child))


def test_a_child_hears_no_ctrl_c_meant_for_its_parent(tmp_path: Path) -> None:
    child = processes.spawn(SLEEP, log=tmp_path / "log")
    try:
        assert Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[2] == str(child.pid)
    finally:
        processes.stop(child, ())


def test_asking_comes_first_and_has_its_time(tmp_path: Path) -> None:
    child = processes.spawn(SLEEP, log=tmp_path / "log")
    processes.stop(child, ((signal.SIGTERM, 10.0),))
    assert child.returncode == -signal.SIGTERM


def test_who_does_not_listen_is_killed_within_the_time_given(tmp_path: Path) -> None:
    child = processes.spawn(STUBBORN, log=tmp_path / "log")
    wait_until(lambda: "deaf" in (tmp_path / "log").read_text())
    began = time.monotonic()
    processes.stop(child, ((signal.SIGTERM, 0.3),))
    assert child.returncode == -signal.SIGKILL
    assert time.monotonic() - began < 3


def test_what_a_child_started_itself_ends_with_it(tmp_path: Path) -> None:
    code = f"import subprocess, time; print(subprocess.Popen({SLEEP!r}).pid, flush=True); time.sleep(600)"
    child = processes.spawn([sys.executable, "-S", "-c", code], log=tmp_path / "log")
    wait_until(lambda: (tmp_path / "log").read_text().endswith("\n"))
    grandchild = int((tmp_path / "log").read_text())
    processes.stop(child, ((signal.SIGTERM, 5.0),))
    wait_until(lambda: ended(grandchild))


def test_orphans_in_a_folder_are_found_and_cleared_out(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    child = processes.spawn(SLEEP, log=tmp_path / "log", directory=folder)
    wait_until(lambda: processes.working_in(folder) == [child.pid])
    assert processes.working_in(tmp_path) == []
    processes.clear_out(folder, patience=0.1)
    assert child.wait() == -signal.SIGKILL
    assert processes.working_in(folder) == []


def test_an_unreaped_child_does_not_count_as_alive(tmp_path: Path) -> None:
    child = processes.spawn([sys.executable, "-S", "-c", ""], log=tmp_path / "log")
    wait_until(lambda: ended(child.pid))
    assert not processes.alive(child.pid)
    child.wait()


def test_a_log_does_not_grow_forever(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * (processes.LARGEST_LOG + 1))
    processes.spawn([sys.executable, "-S", "-c", "print('new')"], log=log).wait()
    assert log.read_text() == "new\n"
    assert (tmp_path / "log.1").stat().st_size == processes.LARGEST_LOG + 1


def test_the_last_words_of_a_log_fit_into_a_sentence(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert processes.last_lines(log) == ""
    log.write_text("one\n\ntwo\nthree\n  four\n")
    assert processes.last_lines(log, 2) == "three / four"
