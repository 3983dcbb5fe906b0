"""Child processes: started so that they cannot outlive Muster, and stopped within a bounded time."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

LINUX = sys.platform.startswith("linux")
PR_SET_PDEATHSIG = 1  # linux/prctl.h
LARGEST_LOG = 10 * 1024 * 1024
_libc = ctypes.CDLL(None, use_errno=True) if LINUX else None

# Signals to a process, in this order, and the seconds each may take. SIGKILL always comes last.
Requests = Sequence[tuple[signal.Signals, float]]


class StartError(Exception):
    """Why a part of Muster did not start: one sentence with the fix."""


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """Returns what the child runs between fork and exec: it asks Linux for a signal when the thread that started it ends.

    The parent may have died before the request: then the child exits.
    """
    parent = os.getpid()

    def request() -> None:
        if _libc is not None:
            _libc.prctl(PR_SET_PDEATHSIG, death_signal)
            if os.getppid() != parent:
                os._exit(1)

    return request


def spawn(
    arguments: Sequence[str | Path],
    *,
    log: Path,
    death_signal: signal.Signals = signal.SIGKILL,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    keep: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Starts a child in a process group of its own, its output appended to `log`, `keep` its inherited descriptors.

    The own group keeps Ctrl-C away from it: only the supervisor receives that, and stops everything in order. Call it from
    the main thread only, because the death signal is tied to the thread that calls.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        log.parent.chmod(0o700)
    rotate(log)
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
        os.fchmod(output.fileno(), 0o600)
        return subprocess.Popen(
            [os.fspath(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            cwd=directory,
            pass_fds=tuple(keep),
            process_group=0,
            preexec_fn=die_with_parent(death_signal) if LINUX else None,
        )


def rotate(log: Path) -> None:
    """Moves the content of a log above LARGEST_LOG to `….1` and empties the file, to which its child goes on appending."""
    with contextlib.suppress(OSError):
        if log.stat().st_size <= LARGEST_LOG:
            return
        kept = log.with_name(log.name + ".1")
        with log.open("rb") as old, os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as new:
            shutil.copyfileobj(old, new)
        os.truncate(log, 0)


def stop(process: subprocess.Popen[bytes], requests: Requests) -> None:
    """Ends a child with stronger and stronger signals, at last SIGKILL for its whole group. Reaps it."""
    for request, patience in requests:
        if process.poll() is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(request)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    # Also what the child itself left: its group keeps its pid even after it has ended.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def alive(pid: int) -> bool:
    """Whether a process exists that has not ended; a zombie has."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if not LINUX:
        return True
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def started(pid: int) -> int | None:
    """Returns when a process started, in clock ticks since boot: a pid alone may be another's by now. None where it is gone."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(stat.rpartition(")")[2].split()[19])
    return None


def working_in(directory: Path) -> list[int]:
    """The living processes whose working directory is `directory`: the embedded servers run there.

    Elsewhere than on Linux the command lines are searched for the directory instead.
    """
    if not LINUX:
        listing = subprocess.run(["ps", "-axo", "pid=,command="], capture_output=True, text=True, check=False).stdout
        pairs = (line.strip().partition(" ") for line in listing.splitlines())
        return [int(pid) for pid, _, command in pairs if str(directory) in command and int(pid) != os.getpid()]
    rows = []
    target = os.path.realpath(directory)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if str((entry / "cwd").readlink()) == target and alive(int(entry.name)):
                rows.append(int(entry.name))
    return rows


def clear_out(directory: Path, patience: float = 10.0) -> None:
    """Waits until no orphan of an earlier start works in `directory` any more, then ends those that stay.

    Call it only while holding the data folder's lock: then it cannot be another user's server.
    """
    deadline = time.monotonic() + patience
    while orphans := working_in(directory):
        if time.monotonic() > deadline:
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            deadline += patience
        time.sleep(0.05)


def last_lines(log: Path, count: int = 3) -> str:
    """The last lines of a log, for the sentence why something did not start."""
    with contextlib.suppress(OSError):
        text = log.read_bytes()[-4096:].decode("utf-8", "replace")
        return " / ".join([line.strip() for line in text.splitlines() if line.strip()][-count:])
    return ""
