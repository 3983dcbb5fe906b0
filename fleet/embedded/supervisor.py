"""Keeps our processes alive, says what it does, and ends them all in order when it is told to."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fleet.embedded import processes
from fleet.embedded.guardian import Guardian

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 60.0
STEADY_AFTER_S = 60.0  # whoever lived this long has recovered: its next delay is the first again
TICK_S = 0.2
_SOON_S = 0.01
END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """Somebody wants us to end: Ctrl-C, SIGTERM, or the terminal went away. Not an error, so nothing swallows it."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


@dataclass
class Child:
    """One process to keep alive. `start` starts it anew. At the end the highest `tier` goes first."""

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    log: Path
    tier: int
    stop: processes.Requests = ((signal.SIGTERM, 5.0),)
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    delay: float = FIRST_DELAY_S
    due: float | None = None


class Supervisor:
    """Runs children from the thread that made it, which must be the main one (see processes.spawn)."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.children: list[Child] = []
        self._guardian = None if processes.LINUX else Guardian()

    def add(self, child: Child) -> Child:
        """Starts a child and keeps it alive from now on. Its first start may fail with StartError."""
        self.children.append(child)
        self._launch(child)
        return child

    def watch(self) -> None:
        """Starts again whatever ends. Ends itself only by an exception, such as Stopped."""
        while True:
            self.look()
            time.sleep(TICK_S)

    def look(self) -> None:
        """One look at every child: notes who has ended, and starts again those whose delay is over."""
        now = time.monotonic()
        for child in self.children:
            if child.process is not None and child.process.poll() is not None:
                self._note_end(child, now)
            elif child.due is not None and now >= child.due:
                try:
                    self._launch(child)
                except (processes.StartError, OSError) as error:
                    self._put_off(child, now, f"did not start: {error}")

    def stop(self) -> None:
        """Ends all children, those of one tier together, within the time their requests allow.

        A further signal meanwhile kills everything above the lowest tier, which holds the servers with data on disk.
        """
        lowest = min((child.tier for child in self.children), default=0)

        def hurry(*_: object) -> None:
            for child in self.children:
                if child.process is not None and child.tier > lowest:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(child.process.pid, signal.SIGKILL)

        with on_end_signals(hurry):
            for tier in sorted({child.tier for child in self.children}, reverse=True):
                ending = [child for child in self.children if child.tier == tier and child.process is not None]
                with ThreadPoolExecutor(max_workers=len(ending) or 1) as pool:
                    list(pool.map(_end, ending))
            self.children.clear()
            if self._guardian is not None:
                self._guardian.close()

    def _launch(self, child: Child) -> None:
        child.due = None
        child.started_at = time.monotonic()
        child.process = child.start()
        if self._guardian is not None:
            self._guardian.watch(child.process.pid)

    def _note_end(self, child: Child, now: float) -> None:
        process, child.process = child.process, None
        if process is None:
            return
        code = process.returncode
        processes.stop(process, ())  # what it left behind of its own group
        if self._guardian is not None:
            self._guardian.forget(process.pid)
        if now - child.started_at >= STEADY_AFTER_S:
            child.delay = FIRST_DELAY_S
        self._put_off(child, now, f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}")

    def _put_off(self, child: Child, now: float, why: str) -> None:
        self.say(f"{child.name} {why}; starting it again in {child.delay:.0f} s (log: {child.log})")
        child.due = now + child.delay
        child.delay = min(child.delay * 2, LONGEST_DELAY_S)


def _end(child: Child) -> None:
    if child.process is not None:
        processes.stop(child.process, child.stop)


@contextlib.contextmanager
def on_end_signals(handler: Callable[..., None]) -> Iterator[None]:
    """Lets `handler` hear what asks us to end, for as long as the block lasts."""
    before = {number: signal.signal(number, handler) for number in END_SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def raise_stopped(number: int, _frame: object) -> None:
    """A signal handler for `on_end_signals`: leaves whatever the main thread is doing, once.

    A second signal must not interrupt the cleaning up that the first began; Supervisor.stop listens to it again.
    """
    for each in END_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    sys.unraisablehook = _raise_again
    raise Stopped(number)


def _raise_again(lost: sys.UnraisableHookArgs) -> None:
    """Python throws away what is raised while it frees an object, in a finalizer or a weak reference's callback: Stopped is
    raised anew as soon as it is done with that."""
    if not isinstance(lost.exc_value, Stopped):
        sys.__unraisablehook__(lost)
        return
    number = lost.exc_value.number
    signal.signal(signal.SIGALRM, lambda *_: raise_stopped(number, None))
    signal.setitimer(signal.ITIMER_REAL, _SOON_S)
