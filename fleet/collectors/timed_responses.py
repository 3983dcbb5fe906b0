"""HTTP connections whose answers, headers included, end with the run's deadline.

A read time-out bounds each wait for bytes, not their sum: a server that sends a byte a second would hold a run for as long as its
status line and headers last. Bodies are bounded in bodies.py; here every read from the socket is.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.client import HTTPResponse
from typing import Any

import urllib3
from urllib3 import poolmanager
from urllib3.connection import HTTPConnection, HTTPSConnection

from fleet.collectors.deadline import Deadline

_CURRENT: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def until(deadline: Deadline) -> Iterator[None]:
    """Ends the answers to requests of this thread at the deadline, with TimeoutError, while the block lasts."""
    token = _CURRENT.set(deadline)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def use_timed_responses(manager: urllib3.PoolManager) -> None:
    """Makes the connections that a manager opens from now on heed `until`; those through a SOCKS proxy are left as they are."""
    if manager.pool_classes_by_scheme == poolmanager.pool_classes_by_scheme:
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


class _Reader(socket.SocketIO):
    """Reads from a socket, never later than the deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        super().__init__(sock, "r")
        self._socket, self._deadline = sock, deadline

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline.remaining()
        if left <= 0:
            raise TimeoutError("timed out")
        timeout = self._socket.gettimeout()
        if timeout is None or timeout > left:
            self._socket.settimeout(left)
        return super().readinto(buffer)


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        deadline = _CURRENT.get()
        if deadline is not None:
            unbounded = self.fp
            sock._io_refs += 1  # type: ignore[attr-defined]  # as makefile() counts: the socket closes with its last file
            self.fp = io.BufferedReader(_Reader(sock, deadline))
            unbounded.close()


class _Connection(HTTPConnection):
    response_class = _Response


class _TlsConnection(HTTPSConnection):
    response_class = _Response


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection
