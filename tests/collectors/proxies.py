"""Small proxies on loopback: CONNECT over HTTP, the same behind TLS, SOCKS5, or none (`plain`). Each may drip its answers."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Drip = Callable[[socket.socket, bytes], None]
"""Sends bytes to the client in its own way."""


def at_once(client: socket.socket, data: bytes) -> None:
    client.sendall(data)


def drip(client: socket.socket, data: bytes) -> None:
    """A byte every 50 ms: no single wait is long, all together is without end for a client with a deadline of half a second."""
    for position in range(len(data)):
        client.sendall(data[position : position + 1])
        DRIPPED.append(1)
        if _ENDED.wait(0.05):
            return


DRIPPED: list[int] = []
"""One entry for each byte of the newest proxy."""
_ENDED = threading.Event()


@dataclass
class Proxy:
    """Leads each connection to `target`, whatever was asked for, and remembers what was."""

    target: tuple[str, int]
    kind: str
    answer: Drip = at_once
    """How it answers the handshake."""
    relay: Drip = at_once
    """How it passes on what the target sends."""
    tls: ssl.SSLContext | None = None
    login: tuple[str, str] | None = None
    asked: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        scheme = {"socks": "socks5"}.get(self.kind, "https" if self.tls else "http")
        return f"{scheme}://127.0.0.1:{self.port}"

    def serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            if self.tls is not None:
                client = self.tls.wrap_socket(client, server_side=True)
            {"socks": self._socks, "connect": self._connect, "plain": lambda _: None}[self.kind](client)
            with socket.create_connection(self.target) as server:
                self._pass_on(client, server)
        client.close()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            is_decrypted = isinstance(client, ssl.SSLSocket) and client.pending() > 0
            for source in [client] if is_decrypted else select.select([client, server], [], [])[0]:
                data = source.recv(65536)
                if not data:
                    return
                if source is client:
                    server.sendall(data)
                else:
                    self.relay(client, data)

    def _connect(self, client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        self.asked.append(head.split()[1].decode())
        self.answer(client, b"HTTP/1.1 200 Connection established\r\n" + b"X-Padding: 0123456789\r\n" * 40 + b"\r\n")

    def _socks(self, client: socket.socket) -> None:
        _, count = _exactly(client, 2)
        methods = _exactly(client, count)
        wanted = 2 if self.login else 0
        self.answer(client, bytes((5, wanted if wanted in methods else 255)))
        if self.login:
            _exactly(client, 1)
            given = tuple(_exactly(client, _exactly(client, 1)[0]).decode() for _ in range(2))
            self.answer(client, bytes((1, 0 if given == self.login else 1)))
        _, _, _, kind = _exactly(client, 4)
        named = kind == 3
        address = _exactly(client, _exactly(client, 1)[0] if named else 4)
        host = address.decode() if named else socket.inet_ntoa(address)
        self.asked.append(f"{host}:{struct.unpack('!H', _exactly(client, 2))[0]}")
        self.answer(client, b"\x05\x00\x00\x03\xff" + b"a" * 255 + b"\x00\x50")


def _exactly(client: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count:
        part = client.recv(count - len(content))
        if not part:
            raise OSError("closed")
        content += part
    return content


@contextlib.contextmanager
def proxying(proxy: Proxy) -> Iterator[Proxy]:
    listener = socket.create_server(("127.0.0.1", 0))
    proxy.port = listener.getsockname()[1]
    _ENDED.clear()
    DRIPPED.clear()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=proxy.serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield proxy
    finally:
        _ENDED.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
