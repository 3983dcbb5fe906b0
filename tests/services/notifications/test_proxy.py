"""Webhooks and messengers go through the proxy of the environment, and the private network stays out of reach there too."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from fleet.services.notifications import guard, messengers, webhooks
from fleet.services.notifications.messages import Message

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
MESSAGE = Message("Title", "Text", "info", "", {"id": "d1", "notices": []})
SECRET = "s" * 20


@dataclass
class Proxy:
    port: int = 0
    asked: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)


@contextmanager
def forward_proxy() -> Iterator[Proxy]:
    """Answers posts by itself and refuses tunnels, after it noted their destination."""
    proxy = Proxy()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            proxy.asked.append(self.path)
            proxy.headers.update(self.headers.items())
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_CONNECT(self) -> None:
            proxy.asked.append(f"CONNECT {self.path}")
            proxy.headers.update(self.headers.items())
            self.send_error(502)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy on loopback, which is inside: only as a proxy may it be spoken to. Names resolve as in `NAMES`."""
    real = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **more: Any) -> Any:
        text = host.decode() if isinstance(host, bytes) else host
        if text in NAMES:
            return real(NAMES[text], *args, **more)
        if guard.parse(str(text)) is not None:
            return real(host, *args, **more)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with forward_proxy() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.lower(), raising=False)
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://user:pa%20ss@127.0.0.1:{proxy.port}")
        yield proxy


NAMES = {"hooks.example.com": "93.184.215.14", "inside.example.com": "10.1.2.3", "metadata.example.com": "169.254.169.254"}


def test_a_webhook_goes_through_the_proxy_with_its_sign_in(proxy: Proxy) -> None:
    assert webhooks.send("http://hooks.example.com/x", SECRET, MESSAGE, NOW).ok
    assert proxy.asked == ["http://hooks.example.com/x"]
    assert proxy.headers["proxy-authorization"] == "Basic dXNlcjpwYSBzcw=="


def test_an_encrypted_webhook_asks_for_a_tunnel(proxy: Proxy) -> None:
    sent = webhooks.send("https://hooks.example.com/x", SECRET, MESSAGE, NOW)
    assert (sent.ok, sent.lasting, sent.error) == (False, False, "The proxy does not respond, or refuses this address.")
    assert proxy.asked == ["CONNECT hooks.example.com:443"]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "host",
    ["inside.example.com", "metadata.example.com", "127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]",
     "unknown.example.com", "localhost"],
)  # fmt: skip
def test_what_is_inside_is_never_named_to_the_proxy(proxy: Proxy, scheme: str, host: str) -> None:
    sent = webhooks.send(f"{scheme}://{host}/x", SECRET, MESSAGE, NOW)
    assert not sent.ok
    assert sent.lasting
    assert proxy.asked == []


def test_the_proxys_own_port_is_no_target(proxy: Proxy) -> None:
    assert not webhooks.send(f"http://127.0.0.1:{proxy.port}/x", SECRET, MESSAGE, NOW).ok
    assert proxy.asked == []


def test_where_only_the_proxy_resolves_a_setting_leaves_public_names_to_it(proxy: Proxy, settings: Any) -> None:
    settings.NOTIFY_PROXY_RESOLVES = True
    assert webhooks.send("http://elsewhere.example.org/x", SECRET, MESSAGE, NOW).ok
    for host in ("metadata.google.internal", "printer.local", "db.ns.svc", "intranet", "inside.example.com", "10.0.0.1"):
        assert not webhooks.send(f"http://{host}/x", SECRET, MESSAGE, NOW).ok, host
    assert proxy.asked == ["http://elsewhere.example.org/x"]


def test_messengers_go_through_it_and_are_held_back_alike(proxy: Proxy) -> None:
    assert messengers.send("gotify://hooks.example.com/TOKEN", MESSAGE).ok
    assert [url.split("?")[0] for url in proxy.asked] == ["http://hooks.example.com/message"]
    sent = messengers.send("gotify://inside.example.com/TOKEN", MESSAGE)
    assert (sent.ok, sent.lasting) == (False, True)
    assert "a private network" in sent.error
    assert len(proxy.asked) == 1


def test_no_proxy_connects_directly_under_the_guard(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "inside.example.com")
    sent = webhooks.send("http://inside.example.com/x", SECRET, MESSAGE, NOW)
    assert "a private network" in sent.error
    assert proxy.asked == []
