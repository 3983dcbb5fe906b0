"""Servers that send their headers a byte at a time: the answer ends with the deadline, whatever a single wait may take."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest
import urllib3

from fleet.collectors.deadline import Deadline
from fleet.collectors.timed_responses import until, use_timed_responses
from tests.collectors.fake_api import Reply, serving

HEADERS = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-Header-%d: something\r\n" % number for number in range(90)) + b"\r\n"


class Dripping:
    """Sends one byte of its headers whenever the client looks at its clock, which then has advanced by a second."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.sent = 0
        self.now = 0.0
        self.client: socket.socket | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/"

    def clock(self) -> float:
        self.now += 1
        with contextlib.suppress(OSError):  # no client has connected yet, or the client has given up
            if self.client is None:
                self.client, _ = self.listener.accept()
            self.client.sendall(HEADERS[self.sent : self.sent + 1])
            self.sent += 1
        return self.now


@pytest.fixture
def dripping() -> Iterator[Dripping]:
    server = Dripping()
    yield server
    server.listener.close()
    if server.client is not None:
        server.client.close()


def test_dripping_headers_end_with_the_deadline(dripping: Dripping) -> None:
    manager = urllib3.PoolManager(retries=False)
    use_timed_responses(manager)
    deadline = Deadline(100, clock=dripping.clock)
    with pytest.raises(urllib3.exceptions.ReadTimeoutError), until(deadline):
        manager.request("GET", dripping.url, timeout=urllib3.Timeout(connect=5, read=5))
    assert 90 < dripping.sent < 110, "each wait was short, and their sum ended with the deadline"


@pytest.mark.parametrize("chunked", [False, True])
def test_whole_answers_and_kept_connections_are_as_ever(chunked: bool) -> None:
    with serving({"/": Reply("x" * 300_000, chunked=chunked)}) as api:
        manager = urllib3.PoolManager(retries=False)
        use_timed_responses(manager)
        for _ in range(3):
            with until(Deadline(30)):
                assert manager.request("GET", api.url).data == b"x" * 300_000
        (pool,) = [manager.connection_from_url(api.url)]
        assert pool.num_connections == 1, "the connection is used again"
        manager.clear()


def test_without_a_deadline_nothing_is_changed() -> None:
    with serving({"/": Reply("x")}) as api:
        manager = urllib3.PoolManager(retries=False)
        use_timed_responses(manager)
        assert manager.request("GET", api.url).data == b"x"
