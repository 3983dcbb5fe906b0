"""One listening socket and its connections. The first byte of a connection distinguishes TLS from plain HTTP."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from fleet.simulator import control
from fleet.simulator.api import ApiServer
from fleet.simulator.certificates import Contexts
from fleet.simulator.listing import Body
from fleet.simulator.messages import Answer, Request
from fleet.simulator.transport import Hang, Refuse, disturb, spoil

HOST = "127.0.0.1"
_GZIP_FROM = 128 * 1024
_TLS_HANDSHAKE = b"\x16"


class ServedSimulation(control.ControlledSimulation, Protocol):
    """Interface of the simulation that a connection uses (server.py)."""

    contexts: Contexts

    def next_request(self) -> int: ...


class Listener(ThreadingHTTPServer):
    """One listening socket, its connections, and a way to close and reopen it on the same port."""

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, port: int, simulation: ServedSimulation, cluster: str = "") -> None:
        super().__init__((HOST, port), _Handler)
        self.simulation = simulation
        self.cluster = cluster
        self.open: set[socket.socket] = set()
        self.open_lock = threading.Lock()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True, name=f"simulator-{self.port}").start()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self.open_lock:
            self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self.open_lock:
            self.open.discard(request)
        super().shutdown_request(request)

    def swap(self, old: socket.socket, new: socket.socket | None) -> None:
        """A connection continues as another object, or has ended."""
        with self.open_lock:
            self.open.discard(old)
            if new is not None:
                self.open.add(new)

    def context(self) -> ssl.SSLContext:
        """What a new TLS connection is shown."""
        server = self.simulation.servers.get(self.cluster)
        return self.simulation.contexts.of(server.cluster.faults.certificate if server else "")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that closed its connection is not an error."""

    def drop_connections(self) -> None:
        """Break every open connection at once, as a dead server does."""
        with self.open_lock:
            dropped = list(self.open)
        for connection in dropped:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 600
    server: Listener

    def setup(self) -> None:
        """Finds out whether the client speaks TLS, then continues as usual."""
        self.request.settimeout(self.timeout)
        if self.request.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE:
            plain = self.request
            self.request = self.server.context().wrap_socket(plain, server_side=True)
            self.server.swap(plain, self.request)
        super().setup()

    def finish(self) -> None:
        super().finish()
        if isinstance(self.request, ssl.SSLSocket):
            self.server.swap(self.request, None)
            self.request.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the simulation keeps no access log."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        simulation = self.server.simulation
        cluster, target = self.server.cluster, self.path
        if not cluster:
            if target.startswith(control.PREFIX):
                code, shown = control.answer(simulation, self.command, target, body)
                self._send(Answer(Body.of(shown), code))
                return
            cluster, target = _split_prefix(target)
        server = simulation.servers.get(cluster)
        if server is None:
            self._send(Answer(b"404 page not found\n", 404, "text/plain; charset=utf-8"))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, target, headers, body, f"{HOST}:{self.server.port}")
        self._respond(server, request)

    def _respond(self, server: ApiServer, request: Request) -> None:
        faults = server.cluster.faults
        try:
            answer = disturb(faults, request, server.stopping) or server.answer(request)
        except Hang:
            self.close_connection = True
            return
        except Refuse:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        server.cluster.count(request, answer.code)
        if answer.lines is not None:
            self._stream(answer)
            return
        spoilt = spoil(faults, request, answer)
        self._send(answer, promised=spoilt)

    def _head(self, answer: Answer, extra: dict[str, str]) -> bytes:
        simulation = self.server.simulation
        seed = simulation.fleet.seed
        headers = {
            "Audit-Id": seed.uuid("audit", simulation.next_request()),
            "Cache-Control": "no-cache, private",
            "Content-Type": answer.content_type,
        }
        if answer.code != HTTPStatus.UNAUTHORIZED:
            headers["X-Kubernetes-Pf-Flowschema-Uid"] = seed.uuid("flow-schema")
            headers["X-Kubernetes-Pf-Prioritylevel-Uid"] = seed.uuid("priority-level")
        headers |= {"Date": self.date_time_string(), **answer.headers, **extra}
        lines = [f"HTTP/1.1 {answer.code} {HTTPStatus(answer.code).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _send(self, answer: Answer, promised: int = 0) -> None:
        """Head and body in one write. `promised`: the Content-Length of a body that will break off."""
        data = answer.body if isinstance(answer.body, bytes) else b""
        extra: dict[str, str] = {}
        if isinstance(answer.body, Body):
            data = answer.body.plain()
            if len(data) > _GZIP_FROM and "gzip" in self.headers.get("Accept-Encoding", ""):
                data = answer.body.gzipped()
                extra["Content-Encoding"] = "gzip"
                extra["Vary"] = "Accept-Encoding"
        extra["Content-Length"] = str(promised or len(data))
        head = self._head(answer, extra)
        if self.command == "HEAD":
            data = b""
        if len(data) < _GZIP_FROM:
            self.wfile.write(head + data)
        else:
            self.wfile.write(head)
            self.wfile.write(data)
        if promised:
            self.close_connection = True

    def _stream(self, answer: Answer) -> None:
        """A watch: chunks as they come, until the watch ends or the client has gone."""
        lines = answer.lines
        if lines is None:
            return
        self.wfile.write(self._head(answer, {"Transfer-Encoding": "chunked"}))
        try:
            for line in lines:
                if line:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
                elif self._client_left():
                    self.close_connection = True
                    return
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    def _client_left(self) -> bool:
        """A client has nothing to say during a watch: when its connection becomes readable, it has ended."""
        try:
            readable, _, _ = select.select([self.connection], [], [], 0)
        except (OSError, ValueError):
            return True
        return bool(readable)


def _split_prefix(target: str) -> tuple[str, str]:
    if not target.startswith("/clusters/"):
        return "", target
    name, slash, rest = target.removeprefix("/clusters/").partition("/")
    return name, slash + rest or "/"
