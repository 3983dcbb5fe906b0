"""Where a server's name leads to, found within a time-out."""

from __future__ import annotations

import ipaddress
import socket
import threading
from urllib.parse import urlsplit

from fleet.collectors.errors import Failure, shorten
from fleet.domain.outcomes import Outcome


def find_host(server: str, timeout_s: float) -> None:
    """Resolve the name in a server's address. Raises Failure where it is unknown or takes too long: the system's
    resolver knows no time-out, and can keep a pass waiting for half a minute."""
    host = urlsplit(server).hostname or ""
    if not host or _is_address(host):
        return
    problems: list[str] = ["it did not resolve in time"]

    def look_up() -> None:
        try:
            socket.getaddrinfo(host, None)
            problems.clear()
        except OSError as error:
            problems[:] = [error.strerror or "it is unknown"]

    thread = threading.Thread(target=look_up, name=f"resolve {host}", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if problems:
        raise Failure(Outcome.UNREACHABLE, f"The name {host} cannot be found ({shorten(problems[0], 120)}).")


def is_loopback(server: str) -> bool:
    """Whether a server's address is this machine's own."""
    host = urlsplit(server).hostname or ""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
