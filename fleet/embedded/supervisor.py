"""Keeps the child processes alive, reports restarts, and stops them all in order."""

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

from fleet.embedded import memory, processes
from fleet.embedded.guardian import Guardian
from fleet.embedded.probes import Probe

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 60.0
STEADY_AFTER_S = 60.0  # a process that lived this long has recovered: its next delay is the first again
TICK_S = 0.2
UNANSWERED_S = 60.0  # a child that has not answered its probe for so long is restarted
FIRST_ANSWER_S = 240.0  # while it starts: importing takes minutes on a machine that is overloaded, and a restart begins again
STOOD_STILL_S = 5.0  # between two checks: the supervisor itself did not run, so missing answers are not the children's fault
ROTATE_EVERY_S = 60.0
_SOON_S = 0.01
END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A request to stop: Ctrl-C, SIGTERM, or the terminal was closed. Not an Exception, so that no handler swallows it."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


@dataclass
class Child:
    """One process to keep alive. `start` starts it again. At the end the highest `tier` goes first."""

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    log: Path
    tier: int
    stop: processes.Requests = ((signal.SIGTERM, 5.0),)
    probe: Probe | None = None
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    answered_at: float = 0.0
    kills_before: int | None = None
    """Processes that the kernel had killed for lack of memory when this one started."""
    delay: float = FIRST_DELAY_S
    due: float | None = None


class Supervisor:
    """Runs children from the thread that made it, which must be the main one (see processes.spawn)."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.children: list[Child] = []
        self._looked_at = 0.0
        self._guardian = None if processes.LINUX else Guardian()

    def add(self, child: Child) -> Child:
        """Starts a child and keeps it alive from now on. Its first start may fail with StartError."""
        self.children.append(child)
        self._launch(child)
        return child

    def watch(self) -> None:
        """Restarts every child that ends. Returns only by an exception, such as Stopped."""
        rotated_at = time.monotonic()
        while True:
            self.look()
            if time.monotonic() >= rotated_at + ROTATE_EVERY_S:
                rotated_at = time.monotonic()
                for child in self.children:
                    processes.rotate(child.log)
            time.sleep(TICK_S)

    def look(self) -> None:
        """Checks every child once: finds those that ended or hang, and restarts those after their delay."""
        now = time.monotonic()
        stood_still = now - self._looked_at > STOOD_STILL_S
        for child in self.children:
            if child.probe is not None and (child.probe.answered() or stood_still):
                child.answered_at = now
            if child.process is not None and child.process.poll() is not None:
                self._note_end(child, now)
            elif child.process is not None and child.probe is not None and _silent_s(child, now) >= _patience_s(child):
                self._end_silent(child, child.process, now)
            elif child.due is not None and now >= child.due:
                try:
                    self._launch(child)
                except (processes.StartError, OSError) as error:
                    self._put_off(child, now, f"did not start: {error}")
        self._looked_at = time.monotonic()

    def stop(self) -> None:
        """Ends all children, those of one tier together, within the time their requests allow.

        A further signal during the stop kills everything above the lowest tier, which holds the servers with data on disk.
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
        child.kills_before = memory.kills()
        child.process = child.start()
        if self._guardian is not None:
            self._guardian.watch(child.process.pid)

    def _note_end(self, child: Child, now: float) -> None:
        process = child.process
        if process is None:
            return
        if now - child.started_at >= STEADY_AFTER_S:
            child.delay = FIRST_DELAY_S
        why = how_it_ended(process.returncode, killed_for_memory=memory.killed_since(child.kills_before))
        self._let_go(child, process, ())
        self._put_off(child, now, why)

    def _end_silent(self, child: Child, process: subprocess.Popen[bytes], now: float) -> None:
        """Ends a live child that does not answer. One that was only stopped is continued first, so that it can shut down."""
        if child.answered_at - child.started_at >= STEADY_AFTER_S:
            child.delay = FIRST_DELAY_S
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGCONT)
        self._let_go(child, process, child.stop)
        self._put_off(child, now, f"did not answer for {_silent_s(child, now):.0f} s")

    def _let_go(self, child: Child, process: subprocess.Popen[bytes], requests: processes.Requests) -> None:
        """Ends the rest of a child and of its process group."""
        child.process = None
        processes.stop(process, requests)
        if self._guardian is not None:
            self._guardian.forget(process.pid)

    def _put_off(self, child: Child, now: float, why: str) -> None:
        self.say(f"{child.name} {why}; starting it again in {child.delay:.0f} s (log: {child.log})")
        child.due = now + child.delay
        child.delay = min(child.delay * 2, LONGEST_DELAY_S)


def how_it_ended(code: int, *, killed_for_memory: bool = False) -> str:
    """Returns what follows the name of a process that ended with this return code (negative: by that signal)."""
    if code >= 0:
        return f"ended with code {code}"
    name = signal.Signals(-code).name
    if -code in _CRASHES:
        return f"crashed ({name}, {_CRASHES[signal.Signals(-code)]})"
    if -code == signal.SIGKILL and killed_for_memory:
        return f"was killed by {name}: the kernel ended a process for lack of memory"
    return f"was killed by {name}"


_CRASHES = {
    signal.SIGSEGV: "segmentation fault",
    signal.SIGBUS: "bus error",
    signal.SIGILL: "illegal instruction",
    signal.SIGFPE: "arithmetic error",
    signal.SIGABRT: "aborted by itself",
}


def _patience_s(child: Child) -> float:
    return UNANSWERED_S if child.answered_at > child.started_at else FIRST_ANSWER_S


def _silent_s(child: Child, now: float) -> float:
    return now - max(child.started_at, child.answered_at)


def _end(child: Child) -> None:
    if child.process is not None:
        processes.stop(child.process, child.stop)


@contextlib.contextmanager
def on_end_signals(handler: Callable[..., None]) -> Iterator[None]:
    """Installs `handler` for termination signals within the block."""
    before = {number: signal.signal(number, handler) for number in END_SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def raise_stopped(number: int, _frame: object) -> None:
    """A signal handler for `on_end_signals`: interrupts the main thread, once.

    A second signal must not interrupt the cleaning up that the first began; Supervisor.stop listens to it again.
    """
    for each in END_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    sys.unraisablehook = _raise_again
    raise Stopped(number)


def _raise_again(lost: sys.UnraisableHookArgs) -> None:
    """Python throws away what is raised while it frees an object, in a finalizer or a weak reference's callback.

    Stopped is raised again right after that.
    """
    if not isinstance(lost.exc_value, Stopped):
        sys.__unraisablehook__(lost)
        return
    number = lost.exc_value.number
    signal.signal(signal.SIGALRM, lambda *_: raise_stopped(number, None))
    signal.setitimer(signal.ITIMER_REAL, _SOON_S)
