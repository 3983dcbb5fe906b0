"""Receivers and identity providers that answer a byte at a time: the answer ends with its time, however short each wait is."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from fleet.services import sso_provider
from fleet.services.notifications import guard, messengers, webhooks
from fleet.services.notifications.messages import Message
from tests.collectors.fake_api import Reply, serving
from tests.collectors.proxies import DRIPPED, Proxy, at_once, drip, proxying
from tests.factories import NOON
from tests.services.notifications.receivers import smtp_receiver


@pytest.fixture
def url() -> Iterator[str]:
    """Answers 200 with a long body, a byte every 50 ms, headers included."""
    with (
        serving({"/": Reply({"sub": "x" * 3000})}) as server,
        proxying(Proxy(("127.0.0.1", urlsplit(server.url).port or 0), "plain", relay=drip)) as front,
    ):
        yield f"{front.url}/"


def test_a_receiver_of_a_webhook(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "WHOLE_S", 0.5)
    sent = webhooks.post(url, "s3cret", b"{}", "id", NOON)
    assert (sent.ok, sent.error) == (False, "No answer within 10 s, or no whole one within 0 s.")
    assert 0 < len(DRIPPED) < 150, "its headers alone are longer"


@pytest.fixture
def _loopback(settings: Any) -> None:
    settings.NOTIFY_ALLOWED_NETWORKS = (ipaddress.ip_network("127.0.0.0/8"),)


def a_message() -> Message:
    return Message(title="n1 is not ready", text="No driver.", tone="failure", key="", body={})


@pytest.mark.usefixtures("_loopback")
def test_a_messenger(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messengers, "WHOLE_S", 0.5)
    assert not messengers.send(url.replace("http://", "ntfy://") + "topic", a_message()).ok
    assert 0 < len(DRIPPED) < 150


@pytest.mark.usefixtures("_loopback")
@pytest.mark.parametrize(("size", "ok"), [(1_000, True), (80_000, False)])
def test_a_messenger_that_answers_with_more_than_anyone_needs(size: int, ok: bool) -> None:
    with serving({"*": Reply({"id": "x" * size})}) as server:
        assert messengers.send(server.url.replace("http://", "ntfy://") + "/topic", a_message()).ok is ok


@pytest.mark.usefixtures("_loopback")
@pytest.mark.parametrize(("whole_s", "ok"), [(60.0, True), (0.5, False)])
def test_a_mail_server(whole_s: float, ok: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messengers, "WHOLE_S", whole_s)
    relay = at_once if ok else drip
    with smtp_receiver() as box, proxying(Proxy(("127.0.0.1", box.port), "plain", relay=relay)) as front:
        address = f"mailto://127.0.0.1:{front.port}/?from=muster@example.com&to=oncall@example.com&smtp=127.0.0.1"
        sent = messengers.send(address, a_message())
    assert (sent.ok, bool(box.mails), len(DRIPPED) < 150) == (ok, ok, True), "the greeting and the reply to EHLO are longer"
    assert sent.ok or sent.error == "The service did not take the message within 0 s."


@pytest.mark.usefixtures("_loopback")
def test_a_name_with_many_addresses_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def resolve(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", (f"127.0.0.{number}", port)) for number in range(1, 200)]

    def connect(sock: socket.socket, to: tuple[str, int]) -> None:
        sys.audit("socket.connect", sock, to)
        tried.append(to[0])
        raise TimeoutError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "socket", type("Socket", (socket.socket,), {"connect": connect}))
    monkeypatch.setattr(webhooks, "WHOLE_S", 0.0)
    with guard.only_outside():
        assert not webhooks.post("http://many.example/", "s3cret", b"{}", "id", NOON).ok
    assert not tried


def test_an_identity_provider(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sso_provider, "_WHOLE_S", 0.5)
    with pytest.raises(sso_provider.UnreachableProviderError):
        sso_provider._read("GET", url)
    assert 0 < len(DRIPPED) < 150
