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
    """Creates a folder closed to other users: access to the socket is access to the server. Below /tmp it may exist."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
        raise StartError(f"{folder} belongs to another user: remove it, or set MUSTER_HOME to a shorter path.")
    folder.chmod(0o700)


def reserve_port(port: int, patience: float = 0.0, setting: str = "--port") -> socket.socket:
    """Returns the port as a bound socket that does not listen yet: reserved, and closed until the web server listens.

    `patience` is for a port that a killed earlier start may hold for a moment longer.
    """
    deadline = time.monotonic() + patience
    while True:
        reserved = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            if not _has_listener(port):
                reserved.bind((HOST, port))
                return reserved
        except OSError as error:
            if error.errno == errno.EACCES:
                reserved.close()
                raise StartError(f"This user may not open port {port}: set one above 1023 with {setting}.") from error
            if error.errno != errno.EADDRINUSE:
                reserved.close()
                raise
        reserved.close()
        if time.monotonic() >= deadline:
            raise StartError(
                f"Port {port} is used by another program: stop that one, or start with {setting} {_free_port_near(port)}."
            )
        time.sleep(0.1)


def reserve_health_port(port: int, patience: float = 0.0) -> socket.socket:
    """The port of probes likewise; 0 takes any that is free, which then only the supervisor knows."""
    if port:
        return reserve_port(port, patience, setting="MUSTER_HEALTH_PORT")
    reserved = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    reserved.bind((HOST, 0))
    return reserved


def _has_listener(port: int) -> bool:
    """Returns whether the port accepts connections; a bind can succeed beside a listener on all addresses."""
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
