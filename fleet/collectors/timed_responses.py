"""HTTP connections whose answers, headers included, end with the run's deadline, whatever proxy they go through.

A read time-out bounds each wait for bytes, not their sum: a server that sends a byte a second would hold a run for as long as its
status line and headers last, and so would a proxy. Bodies are bounded in bodies.py; here every read from the socket is.
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
from urllib3.exceptions import ConnectTimeoutError, ProxyError

from fleet.collectors.deadline import Deadline
from fleet.collectors.socks import SocksProxy

_CURRENT: ContextVar[Deadline | None] = ContextVar("deadline", default=None)
_MOST: ContextVar[int | None] = ContextVar("most", default=None)
_CONNECT_S = 10.0
"""For a request that states no time-out for connecting."""


@contextmanager
def until(deadline: Deadline, most_bytes: int | None = None) -> Iterator[None]:
    """Ends the answers to requests of this thread at the deadline, with TimeoutError, while the block lasts.

    With `most_bytes` each answer ends with OSError after so many bytes, headers included, as they come over the network.
    """
    tokens = _CURRENT.set(deadline), _MOST.set(most_bytes)
    try:
        yield
    finally:
        _CURRENT.reset(tokens[0])
        _MOST.reset(tokens[1])


def use_timed_responses(manager: urllib3.PoolManager, proxy: SocksProxy | None = None) -> None:
    """Makes the connections that a manager opens from now on heed `until`, and go through the SOCKS proxy where one is given."""
    if manager.pool_classes_by_scheme == poolmanager.pool_classes_by_scheme:
        manager.pool_classes_by_scheme = _pools_through(proxy) if proxy else {"http": _Pool, "https": _TlsPool}


def time_every_pool() -> None:
    """Does the same for all managers that this process makes from now on, those of libraries that hand none out."""
    poolmanager.pool_classes_by_scheme.update({"http": _Pool, "https": _TlsPool})


def timed_file(sock: socket.socket) -> io.BufferedReader | None:
    """Returns a file that reads from a socket as `until` allows; None outside of it."""
    deadline = _CURRENT.get()
    return None if deadline is None else io.BufferedReader(_Reader(sock, deadline))


def shorten_timeout(sock: socket.socket) -> None:
    """Leaves a socket no more time than `until` has left. Raises TimeoutError where none is left."""
    deadline = _CURRENT.get()
    if deadline is not None:
        _shorten_timeout(sock, deadline)


def is_over() -> bool:
    """Whether the deadline of `until` has passed."""
    deadline = _CURRENT.get()
    return deadline is not None and deadline.spent


class _Reader(io.RawIOBase):
    """Reads from a socket, never later than the deadline and never more than the most."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._raw = sock.makefile("rb", buffering=0)  # counted by the socket, which closes with its last file
        self._socket, self._deadline, self._left = sock, deadline, _MOST.get()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        _shorten_timeout(self._socket, self._deadline)
        count = self._raw.readinto(buffer)
        if self._left is not None and count:
            self._left -= count
            if self._left < 0:
                raise OSError("the answer is too large")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        deadline = _CURRENT.get()
        if deadline is not None:
            unbounded = self.fp
            self.fp = io.BufferedReader(_Reader(sock, deadline))
            unbounded.close()
            outer = getattr(sock, "socket", None)  # TLS to a server inside TLS to a proxy
            if isinstance(outer, _ProxySocket):
                outer.deadline = deadline


class _ProxySocket:
    """The TLS socket to a proxy, in which another TLS runs. Urllib3 reads from it until a whole record is there."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self.wrapped, self.deadline = sock, deadline

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)

    @property
    def _io_refs(self) -> int:
        return int(self.wrapped._io_refs)  # type: ignore[attr-defined]

    @_io_refs.setter
    def _io_refs(self, count: int) -> None:
        self.wrapped._io_refs = count  # type: ignore[attr-defined]

    def recv(self, size: int, flags: int = 0) -> bytes:
        _shorten_timeout(self.wrapped, self.deadline)
        return self.wrapped.recv(size, flags)


def _shorten_timeout(sock: socket.socket, deadline: Deadline) -> None:
    left = deadline.remaining()
    if left <= 0:
        raise TimeoutError("timed out")
    timeout = sock.gettimeout()
    if timeout is None or timeout > left:
        sock.settimeout(left)


class _Connection(HTTPConnection):
    response_class = _Response


class _TlsConnection(HTTPSConnection):
    response_class = _Response

    def _connect_tls_proxy(self, hostname: str, sock: socket.socket) -> Any:
        outer = super()._connect_tls_proxy(hostname, sock)
        deadline = _CURRENT.get()
        return outer if deadline is None or not self.proxy_is_tunneling else _ProxySocket(outer, deadline)


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def _pools_through(proxy: SocksProxy) -> dict[str, Any]:
    """Returns the pools by scheme whose connections are opened by a SOCKS proxy."""

    class Connection(_Connection):
        def _new_conn(self) -> socket.socket:
            return _open(self, proxy)

    class TlsConnection(_TlsConnection):
        def _new_conn(self) -> socket.socket:
            return _open(self, proxy)

    class Pool(_Pool):
        ConnectionCls = Connection

    class TlsPool(_TlsPool):
        ConnectionCls = TlsConnection

    return {"http": Pool, "https": TlsPool}


def _open(connection: HTTPConnection, proxy: SocksProxy) -> socket.socket:
    timeout = connection.timeout if isinstance(connection.timeout, int | float) else _CONNECT_S
    current = _CURRENT.get()
    deadline = Deadline(timeout if current is None else current.at_most(timeout))
    try:
        sock = proxy.connect(connection.host, connection.port, deadline)
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, f"The SOCKS proxy did not connect within {timeout} s") from error
    except (OSError, UnicodeError) as error:
        raise ProxyError(f"SOCKS proxy: {error}", error) from error
    for option in connection.socket_options or ():
        sock.setsockopt(*option)
    sock.settimeout(timeout)
    return sock
