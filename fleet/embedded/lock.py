"""One process per data folder: an advisory lock that the kernel frees when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.embedded.processes import StartError, alive


@dataclass(frozen=True)
class Holder:
    """Data of the holder of a lock. `ready` is true once its database can be used."""

    pid: int
    command: str
    port: int | None = None
    url: str | None = None
    ready: bool = False


class HomeTakenError(StartError):
    """Another process holds the lock. `holder` is None until the holder has written its data."""

    def __init__(self, holder: Holder | None) -> None:
        self.holder = holder
        super().__init__(_sentence(holder))


def _sentence(holder: Holder | None) -> str:
    if holder is None:
        return "Muster is already starting in this folder."
    if holder.url:
        return f"Muster is already running in this folder: pid {holder.pid}, {holder.url}"
    return f"`manage.py {holder.command}` is using this data folder (pid {holder.pid}): wait for it, then try again."


class HomeLock:
    """The lock of one data folder: `with HomeLock(home, command="run") as lock: lock.announce(port=…)`."""

    def __init__(self, home: Path, command: str) -> None:
        self.path = home / "lock"
        self.command = command
        self.previous: Holder | None = None
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Takes the lock or raises HomeTakenError. `previous` is then the holder that died with it, if any."""
        make_home(self.path.parent)
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except PermissionError as error:
            raise _not_ours(self.path.parent) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            holder = read_holder(self.path.parent)
            # Data of a killed holder must not be taken for that of the process that is just starting.
            raise HomeTakenError(holder if holder and alive(holder.pid) else None) from None
        self.previous = read_holder(self.path.parent)
        self._descriptor = descriptor
        self.announce()

    def announce(self, **facts: Any) -> None:
        """Writes who holds the lock: pid and command, and `facts` (port, url, ready)."""
        if self._descriptor is None:
            raise RuntimeError("announce() before acquire()")
        text = json.dumps({"pid": os.getpid(), "command": self.command, **facts}).encode()
        os.pwrite(self._descriptor, text + b"\n", 0)
        os.ftruncate(self._descriptor, len(text) + 1)

    def release(self) -> None:
        """Empties and frees the lock. The file stays: removing it would let two processes lock two files."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> HomeLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def make_home(home: Path) -> None:
    """Creates the data folder, closed to other users, or raises why not."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise _not_ours(home) from error
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        raise _not_ours(home)


def _not_ours(home: Path) -> StartError:
    return StartError(
        f"This user may not write to the data folder {home}: set MUSTER_HOME to your own folder, or run Muster as its owner."
    )


def read_holder(home: Path) -> Holder | None:
    """Content of the lock file of `home`, current or stale; None where it is empty."""
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        facts: Mapping[str, Any] = json.loads((home / "lock").read_text(encoding="utf-8"))
        return Holder(
            pid=int(facts["pid"]),
            command=str(facts.get("command", "run")),
            port=facts.get("port"),
            url=facts.get("url"),
            ready=bool(facts.get("ready")),
        )
    return None
