"""Names in addresses: resolving server names, and names that are allowed in an API path."""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
from urllib.parse import quote, urlsplit

from fleet.collectors.errors import Failure, shorten
from fleet.domain.snapshot.sections import Outcome

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)


def name_in_path(name: str) -> str:
    """Returns a namespace's or object's name for an API path.

    Raises Failure for one that Kubernetes would refuse (RFC 1123): such a name is never sent: slashes and dots would request
    another object with Muster's token.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise Failure(Outcome.MALFORMED, f"{shorten(repr(name), 80)} is not a valid Kubernetes name, so it was not requested.")
    return quote(name, safe="")


def find_host(server: str, timeout_s: float) -> None:
    """Resolve the name in a server's address.

    Raises Failure where it is unknown or takes too long: the system's resolver has no time-out, and can block a run
    for half a minute.
    """
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
