"""The simulated fleet on loopback: real HTTP/1.1, a port for each cluster and one for all of them under /clusters/NAME.

Every port speaks both TLS and plain HTTP: the first byte of a connection tells which. kubectl sends tokens over TLS only.

    fleet = build_fleet(clusters=1, nodes=4)
    with serve(fleet) as simulation:
        simulation.kubeconfig(path)
        simulation.faults("prod-us-east").set(throttled=3)
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleet.simulator import control, kubeconfig
from fleet.simulator.api import Answer, ApiServer, Request
from fleet.simulator.certificates import Contexts
from fleet.simulator.listing import Body
from fleet.simulator.transport import Hang, Refuse, disturb, spoil

if TYPE_CHECKING:
    from fleet.simulator.faults import Faults
    from fleet.simulator.fleet import Fleet

HOST = "127.0.0.1"
_GZIP_FROM = 128 * 1024
_TLS_HANDSHAKE = b"\x16"


class _Listener(ThreadingHTTPServer):
    """One listening socket, its connections, and a way to go away and come back on the same port."""

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, port: int, simulation: Simulation, cluster: str = "") -> None:
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
        """A connection goes on as another object, or is over."""
        with self.open_lock:
            self.open.discard(old)
            if new is not None:
                self.open.add(new)

    def context(self) -> ssl.SSLContext:
        """What a new TLS connection is shown."""
        server = self.simulation.servers.get(self.cluster)
        return self.simulation.contexts.of(server.cluster.faults.certificate if server else "")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of ours."""

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
    server: _Listener

    def setup(self) -> None:
        """Find out whether the client speaks TLS, then go on as usual."""
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
        self.send_response_only(answer.code)
        seed = self.server.simulation.fleet.seed
        count = self.server.simulation.next_request()
        self.send_header("Audit-Id", seed.uuid("audit", count))
        self.send_header("Cache-Control", "no-cache, private")
        self.send_header("Content-Type", answer.content_type)
        if answer.code != 401:
            self.send_header("X-Kubernetes-Pf-Flowschema-Uid", seed.uuid("flow-schema"))
            self.send_header("X-Kubernetes-Pf-Prioritylevel-Uid", seed.uuid("priority-level"))
        self.send_header("Date", self.date_time_string())
        for name, value in (answer.headers | extra).items():
            self.send_header(name, value)
        head = b"".join(self._headers_buffer) + b"\r\n"  # type: ignore[attr-defined]
        self._headers_buffer = []
        return head

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
        with contextlib.suppress(OSError):
            for line in lines:
                if line:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
                elif self._client_left():
                    break
            self.wfile.write(b"0\r\n\r\n")
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


class Simulation:
    """A fleet being served."""

    def __init__(self, fleet: Fleet, port: int = 0, wanted_ports: dict[str, int] | None = None) -> None:
        self.fleet = fleet
        self.servers = {cluster.name: ApiServer(cluster) for cluster in fleet.clusters}
        self._main = _Listener(port, self)
        self._listeners: dict[str, _Listener] = {}
        self._blocked: dict[str, list[socket.socket]] = {}
        self._requests = 0
        self.contexts = Contexts()
        wanted = wanted_ports or {}
        for number, name in enumerate(self.servers):
            preferred = wanted.get(name) or (port + 1 + number if port else 0)
            self._listeners[name] = _listen(preferred, self, name)

    def start(self) -> None:
        self._main.start()
        for listener in self._listeners.values():
            listener.start()
        for name, server in self.servers.items():
            server.cluster.faults.watch(lambda name=name: self._apply(name))  # type: ignore[misc]

    def stop(self) -> None:
        for server in self.servers.values():
            server.stopping.set()
            server.cluster.faults.watch(None)
            server.cluster.store.wake()
        for listener in (self._main, *self._listeners.values()):
            listener.shutdown()
            listener.drop_connections()
            listener.server_close()
        for sockets in self._blocked.values():
            for blocked in sockets:
                blocked.close()

    @property
    def url(self) -> str:
        """Where all clusters are under one address: `{url}/clusters/NAME`; the control endpoint is `{url}/_simulator/`."""
        return f"http://{HOST}:{self._main.port}"

    @property
    def authority(self) -> bytes:
        """The certificate (PEM) that the simulation's https addresses are to be verified with."""
        return self.contexts.authority.pem

    @property
    def port(self) -> int:
        return self._main.port

    def server_url(self, cluster: str, tls: bool = True) -> str:
        """A cluster's own address, which the fault `unreachable` takes away."""
        return f"{'https' if tls else 'http'}://{HOST}:{self._listeners[cluster].port}"

    def prefix_url(self, cluster: str, tls: bool = True) -> str:
        """The same cluster under the common address."""
        return f"{'https' if tls else 'http'}://{HOST}:{self._main.port}/clusters/{cluster}"

    def faults(self, cluster: str) -> Faults:
        """The faults of a cluster, to be switched."""
        return self.servers[cluster].cluster.faults

    def token(self, cluster: str) -> str:
        """The reader's bearer token."""
        return self.servers[cluster].cluster.access.reader_token

    def kubeconfig(self, path: Path, prefix: bool = False, tls: bool = True) -> Path:
        """Write a kubeconfig with one context per cluster; `prefix`: by way of the common address."""
        find = self.prefix_url if prefix else self.server_url
        tokens = {name: self.token(name) for name in self.servers}
        kubeconfig.write(path, {name: find(name, tls) for name in self.servers}, tokens, self.authority)
        return path

    def next_request(self) -> int:
        self._requests += 1
        return self._requests

    def _apply(self, name: str) -> None:
        """Take a cluster's socket away, or give it back, as its fault `unreachable` says."""
        listener = self._listeners[name]
        how = self.servers[name].cluster.faults.unreachable
        gone = how in ("refused", "blackhole")
        if gone and name not in self._blocked:
            port = listener.port
            listener.shutdown()
            listener.drop_connections()
            listener.server_close()
            self._blocked[name] = _block(port, how)
        elif not gone and name in self._blocked:
            port = self._blocked[name][0].getsockname()[1]
            for blocked in self._blocked.pop(name):
                blocked.close()
            self._listeners[name] = _Listener(port, self, name)
            self._listeners[name].start()


def _listen(preferred: int, simulation: Simulation, name: str) -> _Listener:
    """A listener on the preferred port, or on any when that is taken."""
    if preferred:
        with contextlib.suppress(OSError):
            return _Listener(preferred, simulation, name)
    return _Listener(0, simulation, name)


def _block(port: int, how: str) -> list[socket.socket]:
    """Keep a port so that connections to it are refused (bound, not listening), or never come about (its queue is full)."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((HOST, port))
    kept = [holder]
    if how == "blackhole":
        holder.listen(0)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((HOST, port))
            kept.append(filler)
    return kept


@contextlib.contextmanager
def serve(fleet: Fleet, port: int = 0, wanted_ports: dict[str, int] | None = None) -> Iterator[Simulation]:
    """Serve a fleet until the block ends. Raises OSError when `port` is taken. `wanted_ports`: a cluster's own port, if free."""
    simulation = Simulation(fleet, port, wanted_ports)
    simulation.start()
    try:
        yield simulation
    finally:
        simulation.stop()
