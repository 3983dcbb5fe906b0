from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fleet.embedded import processes, supervisor
from fleet.embedded.supervisor import Child, Stopped, Supervisor, on_end_signals, raise_stopped
from tests.embedded.helpers import wait_until


def _child(folder: Path, name: str, code: str = "import time; time.sleep(600)", tier: int = 1) -> Child:
    """A child whose start and whose polite end leave a line in folder/events."""
    program = f"""
import signal, sys
def note(word):
    with open({str(folder / "events")!r}, "a") as file:
        file.write(word + " {name}\\n")
def end(*_):
    note("ended")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
note("began")
{code}
"""
    log = folder / f"{name}.log"
    return Child(name, lambda: processes.spawn([sys.executable, "-S", "-c", program], log=log), log, tier)


def _events(folder: Path) -> list[str]:
    events = folder / "events"
    return events.read_text().splitlines() if events.exists() else []


def test_a_child_that_dies_is_restarted_and_reported(tmp_path: Path) -> None:
    rows: list[str] = []
    keeper = Supervisor(rows.append)
    child = keeper.add(_child(tmp_path, "web"))
    child.delay = 0.05
    wait_until(lambda: _events(tmp_path) == ["began web"])
    assert child.process is not None
    first = child.process
    first.kill()
    wait_until(lambda: keeper.look() or len(_events(tmp_path)) == 2)
    assert child.process is not None
    assert child.process.pid != first.pid
    assert rows == [f"web was killed by SIGKILL; starting it again in 0 s (log: {child.log})"]
    keeper.stop()


def test_a_child_that_keeps_dying_is_started_ever_more_rarely(tmp_path: Path) -> None:
    rows: list[str] = []
    keeper = Supervisor(rows.append)
    child = keeper.add(_child(tmp_path, "web", "sys.exit(3)"))
    delays = []
    for _ in range(8):
        delays.append(child.delay)
        assert child.process is not None
        child.process.wait()
        keeper.look()
        assert child.due is not None
        child.due = 0.0  # the delay is over
        keeper.look()
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60]
    assert rows[1] == f"web ended with code 3; starting it again in 2 s (log: {child.log})"
    keeper.stop()


def test_a_child_that_was_steady_starts_again_soon(tmp_path: Path) -> None:
    keeper = Supervisor(lambda _: None)
    child = keeper.add(_child(tmp_path, "web", "sys.exit(3)"))
    assert child.process is not None
    child.process.wait()
    child.delay, child.started_at = 60.0, time.monotonic() - supervisor.STEADY_AFTER_S
    keeper.look()
    assert child.due is not None
    assert child.due - time.monotonic() <= supervisor.FIRST_DELAY_S
    keeper.stop()


def test_a_start_that_fails_is_tried_again(tmp_path: Path) -> None:
    rows: list[str] = []
    keeper = Supervisor(rows.append)
    child = keeper.add(_child(tmp_path, "web", "sys.exit(3)"))
    good = child.start

    def bad() -> subprocess.Popen[bytes]:
        raise processes.StartError("no such program.")

    assert child.process is not None
    child.process.wait()
    child.start = bad
    keeper.look()
    child.due = 0.0
    keeper.look()
    assert rows[-1].startswith("web did not start: no such program.; starting it again in 2 s")
    child.start, child.due = good, 0.0
    keeper.look()
    assert child.process is not None
    keeper.stop()


def test_the_stop_is_in_reverse_order_and_leaves_no_process(tmp_path: Path) -> None:
    keeper = Supervisor(lambda _: None)
    children = [keeper.add(_child(tmp_path, name, tier=tier)) for name, tier in (("db", 0), ("sim", 1), ("web", 2))]
    wait_until(lambda: len(_events(tmp_path)) == 3)
    keeper.stop()
    assert _events(tmp_path)[3:] == ["ended web", "ended sim", "ended db"]
    assert all(child.process is not None and child.process.returncode is not None for child in children)


def test_a_second_signal_while_stopping_ends_the_patience(tmp_path: Path) -> None:
    keeper = Supervisor(lambda _: None)
    deaf = _child(tmp_path, "web", "signal.signal(signal.SIGTERM, signal.SIG_IGN); note('deaf')\nwhile True: signal.pause()", 2)
    deaf.stop = ((signal.SIGTERM, 60.0),)
    keeper.add(deaf)
    polite = keeper.add(_child(tmp_path, "db", tier=0))
    wait_until(lambda: len(_events(tmp_path)) == 3)
    began = time.monotonic()
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    keeper.stop()
    assert time.monotonic() - began < 10
    assert deaf.process is not None
    assert deaf.process.returncode == -signal.SIGKILL
    assert polite.process is not None
    assert polite.process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_way_to_end_us_leaves_the_watch_once(number: signal.Signals) -> None:
    with on_end_signals(raise_stopped):
        threading.Timer(0.1, os.kill, (os.getpid(), number)).start()
        with pytest.raises(Stopped) as stopped:
            Supervisor(lambda _: None).watch()
        os.kill(os.getpid(), number)  # during the clean-up: ignored
    assert stopped.value.number == number
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_stop_during_the_release_of_an_object_still_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python swallows whatever is raised there; migrations free objects by the thousand."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)

    class Freed:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0)  # the handler runs here

    def lose() -> None:
        Freed()
        time.sleep(5)

    with on_end_signals(raise_stopped), pytest.raises(Stopped) as stopped:
        lose()
    assert stopped.value.number == signal.SIGINT
