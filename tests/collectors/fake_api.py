"""A scripted HTTP server on loopback: each path has its answer, and may misbehave in every way a server can."""

from __future__ import annotations

import contextlib
import gzip
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    certificate: Any = None

    def first(self, name: str) -> str:
        return self.query.get(name, [""])[0]


@dataclass(frozen=True)
class Reply:
    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drip: float = 0.0
    """Seconds between single bytes of the body."""
    chunked: bool = False
    gzip: bool = False
    cut: bool = False
    """Promise more than is sent, then close."""
    reset: bool = False
    """Close without any answer."""

    @property
    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


Route = Reply | Callable[[Seen], Reply]


class FakeApi:
    """Paths to answers; every request is remembered. What has no route is answered as an API server would: 404."""

    def __init__(self, routes: Mapping[str, Route], tls: ssl.SSLContext | None = None) -> None:
        self.routes = dict(routes)
        self.seen: list[Seen] = []
        handler = type("Handler", (_Handler,), {"api": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.scheme = "https" if tls else "http"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self._server.server_port}"

    def paths(self) -> list[str]:
        return [seen.path for seen in self.seen]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body go out in two writes: else each answer waits 40 ms for an acknowledgement
    api: FakeApi

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        certificate = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
        seen = Seen(self.command, parts.path, parse_qs(parts.query, True), dict(self.headers), body, certificate)
        self.api.seen.append(seen)
        route = self.api.routes.get(parts.path) or self.api.routes.get("*", Reply("404 page not found\n", 404))
        reply = route(seen) if callable(route) else route
        with contextlib.suppress(OSError):
            self._answer(reply)

    do_POST = do_GET  # noqa: N815

    def _answer(self, reply: Reply) -> None:
        time.sleep(reply.delay)
        if reply.reset:
            self.close_connection = True
            return
        content = gzip.compress(reply.content) if reply.gzip else reply.content
        self.send_response(reply.status)
        names = {name.lower() for name in reply.headers}
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if "content-type" not in names:
            self.send_header("Content-Type", "application/json")
        if reply.gzip:
            self.send_header("Content-Encoding", "gzip")
        if reply.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(content) + (100 if reply.cut else 0)))
        self.end_headers()
        for piece in self._pieces(reply, content):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if reply.chunked else piece)
            self.wfile.flush()
            time.sleep(reply.drip)
        if reply.cut:
            self.close_connection = True
        elif reply.chunked:
            self.wfile.write(b"0\r\n\r\n")

    @staticmethod
    def _pieces(reply: Reply, content: bytes) -> Iterator[bytes]:
        step = 1 if reply.drip else 3000
        for start in range(0, len(content), step):
            yield content[start : start + step]


@contextlib.contextmanager
def serving(routes: Mapping[str, Route], tls: ssl.SSLContext | None = None) -> Iterator[FakeApi]:
    api = FakeApi(routes, tls)
    api.start()
    try:
        yield api
    finally:
        api.stop()


def write_kubeconfig(
    path: Path,
    server: str,
    user: Mapping[str, Any] | None = None,
    cluster: Mapping[str, Any] | None = None,
    name: str = "test",
) -> Path:
    """A kubeconfig with one context."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": name, "user": dict(user or {"token": "secret"})}],
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def page(kind: str, items: list[Any] | None, continue_: str = "") -> Reply:
    return Reply({"kind": f"{kind}List", "apiVersion": "v1", "metadata": {"continue": continue_}, "items": items})
