"""The folder of the servers' sockets, and the port of the web server."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import time
from pathlib import Path

from fleet.embedded.processes import StartError

HOST = "127.0.0.1"


def make_socket_dir(folder: Path) -> None:
    """Closed to others, because whoever reaches the socket is let in. Below /tmp somebody may have been there first."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
        raise StartError(f"{folder} belongs to another user: remove it, or set MUSTER_HOME to a shorter path.")
    folder.chmod(0o700)


def reserve_port(port: int, patience: float = 0.0) -> socket.socket:
    """The port as a bound socket that does not listen yet: ours from now on, closed to visitors until gunicorn listens.

    `patience` is for a port that a killed start of our own may hold for a moment longer.
    """
    deadline = time.monotonic() + patience
    while True:
        reserved = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            if not _somebody_answers(port):
                reserved.bind((HOST, port))
                return reserved
        except OSError as error:
            if error.errno == errno.EACCES:
                reserved.close()
                raise StartError(f"This user may not open port {port}: give one above 1023 with --port.") from error
            if error.errno != errno.EADDRINUSE:
                reserved.close()
                raise
        reserved.close()
        if time.monotonic() >= deadline:
            raise StartError(
                f"Port {port} is taken by another program: end that one, or start with --port {_free_port_near(port)}."
            )
        time.sleep(0.1)


def _somebody_answers(port: int) -> bool:
    """A listener on all addresses does not stop a bind to one of them everywhere; a connection tells."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as visitor:
        visitor.settimeout(1.0)
        return visitor.connect_ex((HOST, port)) == 0


def _free_port_near(port: int) -> int:
    for candidate in range(port + 1, min(port + 50, 65536)):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                trial.bind((HOST, candidate))
                return candidate
    return 0
