"""Postgres and Valkey over TLS, by the addresses that SECURITY.md names: who cannot prove to be the server is not spoken to.

The wheels' servers are built without TLS, so real ones stand behind a TLS front here; the clients are Muster's own.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.config import env
from fleet.embedded.broker import Broker
from tests.collectors.certificates import Pair, authority, issue, server_context
from tests.embedded.helpers import ROOT, environment

CA = authority()
PROGRAM = """
import django
django.setup()
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from fleet.web import health
from kombu import Connection
with Connection(settings.CELERY_BROKER_URL, connect_timeout=5) as broker:
    broker.ensure_connection(max_retries=1, timeout=5)
    broker.default_channel.client.set("muster-tls", "1")
health._check_broker()
cache.set("a", "1")
assert cache._broken_until == 0.0, "the shared cache did not answer"
connection.ensure_connection()
print("spoken")
"""


@contextlib.contextmanager
def tls_front(folder: Path, pair: Pair, to: Path, *, postgres: bool = False) -> Iterator[int]:
    """A TLS server in front of a Unix socket; of Postgres it answers the question for TLS first."""
    context = server_context(folder, pair)

    def copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def answer(client: socket.socket) -> None:
        with contextlib.suppress(OSError, ssl.SSLError), client:
            if postgres:
                assert client.recv(8, socket.MSG_WAITALL)[4:] == (80877103).to_bytes(4, "big"), "it asks for TLS before all else"
                client.sendall(b"S")
            with context.wrap_socket(client, server_side=True) as inner, socket.socket(socket.AF_UNIX) as server:
                server.connect(str(to))
                threading.Thread(target=copy, args=(server, inner), daemon=True).start()
                copy(inner, server)

    def accept(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listening.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=32) as listening:
        threading.Thread(target=accept, args=(listening,), daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    broker = Broker(tmp_path_factory.mktemp("valkey"), forgetful=True)
    broker.start()
    broker.wait()
    yield broker.socket
    broker.stop()


def documented(name: str) -> str:
    """The address that SECURITY.md gives as an example."""
    match = re.search(rf"`{name}=([^`]+)`", (ROOT / "SECURITY.md").read_text())
    assert match
    return match[1]


@pytest.mark.parametrize(
    ("address", "signed_by", "says"),
    [
        ("127.0.0.1", CA, ""),
        ("127.0.0.1", authority("somebody else"), "certificate verify failed"),
        ("127.0.0.2", CA, "mismatch|does not match|not valid for"),
    ],
    ids=["known", "unknown authority", "another host's certificate"],
)
def test_postgres_and_valkey_are_spoken_to_only_as_who_they_are(
    valkey: Path, tmp_path: Path, address: str, signed_by: Pair, says: str
) -> None:
    (tmp_path / "ca.crt").write_text(CA.pem)
    pair, own = issue(signed_by, "server", address), os.environ["DATABASE_URL"]
    folder = re.fullmatch(r"postgres://(\w+)@//(.+)/(\w+)", own)
    assert folder, "the tests' own Postgres listens at a Unix socket"
    with (
        tls_front(tmp_path, pair, valkey) as broker_port,
        tls_front(tmp_path, pair, Path("/") / folder[2] / ".s.PGSQL.5432", postgres=True) as postgres_port,
    ):
        for name, port in (("MUSTER_BROKER_URL", broker_port), ("DATABASE_URL", postgres_port)):
            url = re.sub(r"/etc/muster/ca.crt", str(tmp_path / "ca.crt"), documented(name))
            url = re.sub(
                r"//[^/?]*", f"//{folder[1]}@127.0.0.1:{port}" if name == "DATABASE_URL" else f"//127.0.0.1:{port}", url, count=1
            )
            done = spoken({name: url})
            assert ("spoken" in done.stdout) == (says == ""), (name, done.stderr[-1500:])
            assert re.search(says, done.stderr), (name, done.stderr[-1500:])


def spoken(more: dict[str, str]) -> subprocess.CompletedProcess[str]:
    given = {
        "DATABASE_URL": os.environ["DATABASE_URL"],
        "MUSTER_BROKER_URL": os.environ["MUSTER_BROKER_URL"],
        "DJANGO_SETTINGS_MODULE": "fleet.config.settings",
        **more,
    }
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=environment(**given),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("url", "password", "expected"),
    [
        ("redis://valkey:6379/0", "a/b@c:d%", "redis://:a%2Fb%40c%3Ad%25@valkey:6379/0"),
        ("rediss://:old@valkey:6380/0?ssl_cert_reqs=required", "new", "rediss://:new@valkey:6380/0?ssl_cert_reqs=required"),
        ("amqp://us%20er:old@rabbit//", "p", "amqp://us%20er:p@rabbit//"),
        ("redis://:kept@[::1]:6379/0", "", "redis://:kept@[::1]:6379/0"),
        ("redis://[::1]:6379/0", "p", "redis://:p@[::1]:6379/0"),
        ("redis+socket:///run/v.sock", "p", "redis+socket:///run/v.sock"),
    ],
)
def test_a_password_of_any_characters_takes_its_place_in_an_address(url: str, password: str, expected: str) -> None:
    assert env.with_password(url, password) == expected
