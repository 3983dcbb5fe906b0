"""Whether a live process also answers: probed without blocking, because the supervisor has one thread."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

EVERY_S = 5.0
"""Seconds between two probes. One without an answer by then is abandoned."""
Address = str | tuple[str, int]
"""Path of a Unix socket, or host and port."""

HTTP = b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n"
# An SSLRequest: the postmaster accepts it and forks a backend that answers any client with one byte, also during recovery.
POSTGRES = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
REDIS = b"PING\r\n"  # NOAUTH or LOADING is an answer as well
AMQP = b"AMQP\x00\x00\x09\x01"


class Probe(Protocol):
    """One child's probe."""

    def answered(self) -> bool:
        """Returns whether it answered since the last call. Never waits."""


class SocketProbe:
    """Sends a request every EVERY_S seconds; whatever comes back is an answer. An empty request: a connection is one."""

    def __init__(self, address: Address, request: bytes) -> None:
        self.address, self.request = address, request
        self._socket: socket.socket | None = None
        self._sent = False
        self._next_at = 0.0

    def answered(self) -> bool:
        now = time.monotonic()
        if now >= self._next_at:
            self._next_at = now + EVERY_S
            self._connect()
        try:
            return self._socket is not None and self._advance(self._socket)
        except OSError:
            self.close()
            return False

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> None:
        self.close()
        self._sent = False
        self._socket = socket.socket(socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET)
        self._socket.setblocking(False)
        try:
            with contextlib.suppress(BlockingIOError):
                self._socket.connect(self.address)
        except OSError:  # refused, no such socket, no such host
            self.close()

    def _advance(self, connection: socket.socket) -> bool:
        """Takes the next step of this question; True once it is answered."""
        readable, writable, _ = select.select([connection], [] if self._sent else [connection], [], 0)
        if writable:
            if failed := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(failed, "not connected")
            connection.sendall(self.request)
            self._sent = True
        answer = bool(readable and connection.recv(64)) if self.request else self._sent
        if answer or readable:
            self.close()
        return answer


class HeartbeatProbe:
    """A file that the main loop of the process touches.

    A loop that waits for its broker touches nothing: while `excuse` returns False, a missing heartbeat is no evidence.
    """

    def __init__(self, path: Path, excuse: Probe | None = None) -> None:
        self.path, self.excuse = path, excuse
        self._touched: int | None = None
        self._excused_at = time.monotonic()

    def answered(self) -> bool:
        touched = self._read()
        changed = touched is not None and touched != self._touched
        self._touched = touched
        if self.excuse is None:
            return changed
        if self.excuse.answered():
            self._excused_at = time.monotonic()
        return changed or time.monotonic() - self._excused_at > 3 * EVERY_S

    def _read(self) -> int | None:
        with contextlib.suppress(OSError):
            return self.path.stat().st_mtime_ns
        return None


def broker_probe(url: str) -> SocketProbe | None:
    """Returns a probe of the broker with this URL, by connection alone where it speaks TLS; None where none can be made."""
    split = urlsplit(url)
    if split.scheme == "redis+socket":
        return SocketProbe(split.path, REDIS)
    if split.hostname is None:
        return None
    requests = {"redis": (6379, REDIS), "rediss": (6379, b""), "amqp": (5672, AMQP), "amqps": (5671, b"")}
    port, request = requests[split.scheme]
    return SocketProbe((split.hostname, split.port or port), request)
