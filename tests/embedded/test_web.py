"""Slow and idle clients of the web server: what they cost the others, and probes."""

from __future__ import annotations

import contextlib
import http.client
import os
import select
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from waitress.server import create_server

from fleet.embedded import children, hostile_clients, sockets
from fleet.embedded import web as web_module
from fleet.embedded.probes import SocketProbe
from tests.embedded.helpers import wait_until

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Web:
    """One running web server: the port of pages, that of probes, and its log."""

    port: int
    health: int
    log: Path


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with web_server(tmp_path_factory.mktemp("web")) as running:
        seconds_of_healthz(running.port)  # it has started
        yield running


@contextlib.contextmanager
def web_server(tmp_path: Path, **more: str) -> Iterator[Web]:
    """A web server of its own; no database answers it, and /healthz needs none."""
    gate, opener = os.pipe()
    with (
        socket.create_server(("127.0.0.1", 0), backlog=512) as listening,
        socket.create_server(("127.0.0.1", 0), backlog=64) as health,
    ):
        environment = {
            **os.environ,
            "DATABASE_URL": "postgres://nobody@127.0.0.1:9/none",
            "MUSTER_BROKER_URL": "redis://127.0.0.1:9",
            "MUSTER_HOME": str(tmp_path),
            "MUSTER_NO_BOOTSTRAP": "1",
            **more,
        }
        server = subprocess.Popen(
            [sys.executable, "-m", "fleet.embedded.web", str(gate), str(listening.fileno()), str(health.fileno())],
            pass_fds=(gate, listening.fileno(), health.fileno()),
            env=environment,
            cwd=ROOT,
            stderr=(tmp_path / "web.log").open("wb"),
        )
        os.close(opener)
        os.close(gate)
        try:
            yield Web(listening.getsockname()[1], health.getsockname()[1], tmp_path / "web.log")
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def seconds_of_healthz(port: int) -> float:
    started = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/healthz", headers={"Cookie": "muster_session=abcdefabcdefabcdef"})
    answer = connection.getresponse()
    assert (answer.status, answer.read(), answer.getheader("Server")) == (200, b"ok\n", None)
    connection.close()
    return time.monotonic() - started


IDLE, HALF_A_HEADER = b"", b"GET /heal"
HALF_A_BODY = b"POST /sign-in/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\na"


@contextlib.contextmanager
def clients(port: int, openings: list[bytes]) -> Iterator[list[socket.socket]]:
    """Connections that sent this much and then nothing."""
    connections: list[socket.socket] = []
    try:
        for opening in openings:
            client = socket.create_connection(("127.0.0.1", port), timeout=10)
            connections.append(client)
            client.sendall(opening)
        yield connections
    finally:
        for client in connections:
            client.close()


def test_idle_and_slow_clients_leave_the_others_their_server(web: Web) -> None:
    with clients(web.port, [IDLE] * 150 + [HALF_A_HEADER] * 30 + [HALF_A_BODY] * 20):
        seconds = [seconds_of_healthz(web.port) for _ in range(40)]
    assert statistics.quantiles(seconds, n=20)[-1] < 0.5, "the 95th percentile with 200 such clients"


def test_probes_have_a_listener_that_clients_of_the_pages_cannot_reach(web: Web) -> None:
    with clients(web.port, [IDLE] * 900 + [HALF_A_HEADER] * 60 + [HALF_A_BODY] * 60), clients(web.health, [IDLE] * 60):
        assert max(seconds_of_healthz(web.health) for _ in range(20)) < 2


def test_the_listener_of_probes_answers_nothing_else(web: Web) -> None:
    for path in ("/", "/nodes/", "/metrics", "/healthz/../metrics", "/api/v1/nodes/"):
        connection = http.client.HTTPConnection("127.0.0.1", web.health, timeout=60)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Server")) == (404, None), path
        connection.close()


def test_more_connections_than_the_limit_keep_no_client_out(web: Web) -> None:
    with clients(web.port, [IDLE] * 1_010) as connections:
        assert seconds_of_healthz(web.port) < 30, "idle connections were closed before their time-out"
        closed, _, _ = select.select(connections[:200], [], [], 10)
    assert closed, "the longest idle ones"


def test_a_request_that_drips_is_closed_although_it_is_never_silent() -> None:
    with bounded_server(request_s=0.5) as address, socket.create_connection(address, timeout=10) as client:
        client.settimeout(0.05)
        received = None

        def dripped() -> bool:
            nonlocal received
            with contextlib.suppress(TimeoutError, ConnectionError, BrokenPipeError):
                client.sendall(b"a")
                received = client.recv(100)
                return received == b""
            return received is not None

        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ")
        wait_until(dripped)
    assert received == b"", "closed without an answer"


def test_a_page_that_is_rendered_lends_the_interpreter_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    intervals: list[float] = []
    monkeypatch.setattr(web_module.sys, "setswitchinterval", intervals.append)
    monkeypatch.setattr(web_module, "create_server", lambda *_, **__: pytest.fail("started") if not intervals else _ended())
    with pytest.raises(SystemExit):
        web_module.serve(lambda *_: [], socket.socket(), socket.socket())
    assert intervals == [web_module.SWITCH_S]
    assert sys.getswitchinterval() > web_module.SWITCH_S


def _ended() -> Any:
    raise SystemExit


def test_requests_after_each_other_on_one_connection_have_each_their_own_time() -> None:
    with bounded_server(request_s=1.0) as address:
        connection = http.client.HTTPConnection(*address, timeout=10)
        began = time.monotonic()
        while time.monotonic() - began < 2.2:
            connection.request("POST", "/", body=b"abc")
            assert connection.getresponse().read() == b"abc"
        connection.close()


@contextlib.contextmanager
def bounded_server(request_s: float) -> Iterator[tuple[str, int]]:
    """A bounded server that answers with the body that it receives."""

    def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["wsgi.input"].read()]

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = create_server(
            echo, sockets=[listening], threads=1, channel_timeout=30, cleanup_interval=0, asyncore_loop_timeout=1
        )
        hostile_clients.bound(server, request_s)
        serving = threading.Thread(target=server.run)
        serving.start()
        yield listening.getsockname()
        server.maintenance = sys.exit  # in its own thread, which ends the loop
        serving.join()


CLOSE = b"\r\nConnection: close\r\n\r\n"
TWO_LENGTHS = b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
MALFORMED = {
    "space before the colon": b"GET /healthz HTTP/1.1\r\nHost : localhost" + CLOSE,
    "control character": b"GET /healthz HTTP/1.1\r\nHost: a\x0bb" + CLOSE,
    "binary method": b"\x00\x01 /healthz HTTP/1.1\r\nHost: localhost" + CLOSE,
    "folded header": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: a\r\n\x00b" + CLOSE,
    "two lengths": b"POST /healthz HTTP/1.1\r\nHost: localhost\r\n"
    + TWO_LENGTHS
    + b"GET /readyz HTTP/1.1\r\nHost: localhost"
    + CLOSE,
    "two equal lengths": b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 20" + CLOSE,
    "signed length": b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: +5" + CLOSE + b"abcde",
}


@pytest.mark.parametrize("request_", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_400_once_and_no_second_request(web: Web, request_: bytes) -> None:
    lines = web.log.read_text().count("uncaptured")
    for port in (web.port, web.health):
        answer = b""
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(request_)
            while part := client.recv(65_536):
                answer += part
        assert answer[9:13] == b"400 ", answer[:100] or "closed without an answer"
        assert answer.count(b"HTTP/1.") == 1, "the rest was not taken for another request"
    assert web.log.read_text().count("uncaptured") == lines


def test_the_supervisor_asks_at_the_listener_of_probes(tmp_path: Path) -> None:
    with sockets.reserve_health_port(0) as health, socket.create_server(("127.0.0.1", 0)) as port:
        probe = children.web(tmp_path, port, health, 0).probe
        assert isinstance(probe, SocketProbe)
        assert probe.address == health.getsockname()


def test_a_database_that_is_away_is_503_with_retry_after_and_one_log_line(web: Web) -> None:
    for path in ("/", "/nodes/", "/api/v1/nodes/"):
        connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=60)
        connection.request("GET", path, headers={"Cookie": "muster_session=abcdefabcdefabcdef"})
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Retry-After")) == (503, "10")
        assert b"database does not respond" in answer.read()
    lines = [line for line in web.log.read_text().splitlines() if "the database does not answer" in line]
    assert len(lines) == 1
    started = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=60)
    connection.request("GET", "/readyz")
    assert connection.getresponse().status == 503
    assert time.monotonic() - started < 2


def test_probes_are_answered_while_every_thread_waits_for_a_database_that_stands_still(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        address = f"postgres://nobody@127.0.0.1:{silent.getsockname()[1]}/none"
        with web_server(tmp_path, DATABASE_URL=address) as running:
            port = running.port
            seconds_of_healthz(port)
            waiting = []
            for _ in range(24):
                client = socket.create_connection(("127.0.0.1", port), timeout=30)
                client.sendall(b"GET /nodes/ HTTP/1.0\r\nHost: localhost\r\nCookie: muster_session=abcdefabcdefabcdef\r\n\r\n")
                waiting.append(client)
            asked, _ = silent.accept()
            asked.recv(8)  # a thread has asked the database, which does not answer
            for _ in range(5):
                seconds_of_healthz(port)
            answered, _, _ = select.select(waiting, [], [], 0)
            for client in waiting:
                client.close()
    assert answered == [], "the pages still wait"
