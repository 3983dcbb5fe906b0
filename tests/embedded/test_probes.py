"""A child that lives and does not answer: found by real processes that are stopped, and restarted."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.embedded import memory, probes, processes, supervisor
from fleet.embedded.probes import HeartbeatProbe, SocketProbe, broker_probe
from fleet.embedded.supervisor import Child, Supervisor, how_it_ended
from tests.embedded.helpers import wait_until


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "EVERY_S", 0.1)
    monkeypatch.setattr(supervisor, "UNANSWERED_S", 1.0)
    monkeypatch.setattr(supervisor, "FIRST_ANSWER_S", 1.0)


@pytest.fixture
def keeper() -> Iterator[tuple[Supervisor, list[str]]]:
    sentences: list[str] = []
    supervisor = Supervisor(sentences.append)
    yield supervisor, sentences
    supervisor.stop()


def heartbeat_child(folder: Path, code: str = "") -> Child:
    path = folder / "heartbeat"
    program = f"import pathlib, time\nwhile True:\n pathlib.Path({str(path)!r}).touch()\n time.sleep(0.05)\n {code}"
    log = folder / "child.log"
    return Child(
        "The worker", lambda: processes.spawn([sys.executable, "-S", "-c", program], log=log), log, 1, probe=HeartbeatProbe(path)
    )


def test_a_stopped_child_is_ended_and_started_again_with_one_sentence(
    keeper: tuple[Supervisor, list[str]], tmp_path: Path
) -> None:
    watching, sentences = keeper
    child = watching.add(heartbeat_child(tmp_path))
    wait_until(lambda: watching.look() or (tmp_path / "heartbeat").exists())
    assert child.process is not None
    first = child.process
    os.kill(first.pid, signal.SIGSTOP)
    wait_until(lambda: watching.look() or sentences)
    assert first.returncode == -signal.SIGTERM, "it was let run again, and ended by the polite request"
    assert sentences == [f"The worker did not answer for 1 s; starting it again in 1 s (log: {child.log})"]
    child.due = 0.0
    watching.look()
    assert child.process is not None
    assert child.process.pid != first.pid


def test_a_child_that_answers_is_left_alone(keeper: tuple[Supervisor, list[str]], tmp_path: Path) -> None:
    watching, sentences = keeper
    child = watching.add(heartbeat_child(tmp_path))
    process = child.process
    wait_until(lambda: watching.look() or child.answered_at > child.started_at)
    child.started_at = 0.0
    for _ in range(3):
        answered_at = child.answered_at
        wait_until(lambda answered_at=answered_at: watching.look() or child.answered_at > answered_at)
    assert sentences == []
    assert child.process is process


def test_a_child_that_has_never_answered_may_take_longer_to_start(
    keeper: tuple[Supervisor, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_ANSWER_S", 100.0)
    watching, sentences = keeper
    child = watching.add(heartbeat_child(tmp_path, "time.sleep(600)"))
    wait_until(lambda: watching.look() or child.answered_at > child.started_at)
    child.answered_at = 0.0  # as if it never had
    child.started_at -= 90
    watching.look()
    assert sentences == []
    child.started_at -= 20
    watching.look()
    assert "did not answer for 11" in sentences[0]


def test_a_paused_supervisor_restarts_no_process(keeper: tuple[Supervisor, list[str]], tmp_path: Path) -> None:
    watching, sentences = keeper
    child = watching.add(heartbeat_child(tmp_path, "time.sleep(600)"))
    watching.look()
    child.started_at = child.answered_at = 0.0
    watching._looked_at -= supervisor.STOOD_STILL_S + 1
    watching.look()
    assert sentences == []


def test_one_that_hangs_again_and_again_is_started_ever_more_rarely(keeper: tuple[Supervisor, list[str]], tmp_path: Path) -> None:
    watching, _ = keeper
    child = watching.add(heartbeat_child(tmp_path, "time.sleep(600)"))
    delays = []
    for _ in range(3):
        watching.look()
        delays.append(child.delay)
        child.started_at -= 61
        child.answered_at = 0.0
        wait_until(lambda: watching.look() or child.due is not None)
        child.due = 0.0
        watching.look()
    assert delays == [1, 2, 4]


@pytest.mark.parametrize("answer", [b"HTTP/1.0 503 Busy\r\n\r\n", b""])
def test_a_socket_answers_with_whatever_it_sends(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        probe = SocketProbe(server.getsockname(), probes.HTTP)
        assert not probe.answered()

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    assert connection.recv(100).startswith(b"GET /healthz")
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        if answer:
            wait_until(probe.answered)
        else:
            deadline = time.monotonic() + 0.5
            while time.monotonic() < deadline:
                assert not probe.answered(), "a closed connection is no answer"
        server.shutdown(socket.SHUT_RDWR)
    probe.close()


def test_a_listening_socket_without_a_server_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        probe = SocketProbe(server.getsockname(), probes.REDIS)
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            assert not probe.answered()
        probe.close()


def test_a_loop_that_waits_for_its_broker_is_not_blamed(tmp_path: Path) -> None:
    """Where no broker answers, a silent heartbeat says nothing about the process; where it answers, it does."""
    probe = HeartbeatProbe(tmp_path / "absent", broker_probe("redis://127.0.0.1:9/0"))
    wait_until(probe.answered)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            connections = []
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connections.append(connection)
                connection.sendall(b"+PONG\r\n")

        threading.Thread(target=serve, daemon=True).start()
        probe = HeartbeatProbe(tmp_path / "absent", broker_probe(f"redis://127.0.0.1:{port}/0"))
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            assert not probe.answered()
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("url", "address", "request_"),
    [
        ("redis+socket:///run/v.sock?virtual_host=0", "/run/v.sock", probes.REDIS),
        ("redis://:secret@valkey/0", ("valkey", 6379), probes.REDIS),
        ("rediss://valkey:6380/0", ("valkey", 6380), b""),
        ("amqp://u:p@rabbit//", ("rabbit", 5672), probes.AMQP),
        ("amqps://u:p@rabbit//", ("rabbit", 5671), b""),
    ],
)
def test_each_kind_of_broker_is_asked_in_its_own_protocol(url: str, address: object, request_: bytes) -> None:
    probe = broker_probe(url)
    assert probe is not None
    assert (probe.address, probe.request) == (address, request_)


@pytest.mark.parametrize(
    ("code", "for_memory", "words"),
    [
        (3, False, "ended with code 3"),
        (-signal.SIGSEGV, False, "crashed (SIGSEGV, segmentation fault)"),
        (-signal.SIGKILL, False, "was killed by SIGKILL"),
        (-signal.SIGKILL, True, "was killed by SIGKILL: the kernel ended a process for lack of memory"),
        (-signal.SIGTERM, True, "was killed by SIGTERM"),
    ],
)
def test_how_a_process_ended_is_one_clause(code: int, for_memory: bool, words: str) -> None:
    assert how_it_ended(code, killed_for_memory=for_memory) == words


def test_the_kernels_counter_of_kills_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = tmp_path / "vmstat"
    monkeypatch.setattr(memory, "COUNTERS", (tmp_path / "absent", counter))
    assert memory.kills() is None
    assert not memory.killed_since(None)
    counter.write_text("pgfault 12\noom_kill 3\noom_kill_other 9\n")
    assert memory.kills() == 3
    assert memory.killed_since(2)
    assert not memory.killed_since(3)
