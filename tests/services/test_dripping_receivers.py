"""Receivers and identity providers that answer a byte at a time: the answer ends with its time, however short each wait is."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from fleet.services import sso_provider
from fleet.services.notifications import messengers, webhooks
from fleet.services.notifications.messages import Message
from tests.collectors.fake_api import Reply, serving
from tests.collectors.proxies import DRIPPED, Proxy, drip, proxying
from tests.factories import NOON


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


def test_an_identity_provider(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sso_provider, "_WHOLE_S", 0.5)
    with pytest.raises(sso_provider.UnreachableProviderError):
        sso_provider._read("GET", url)
    assert 0 < len(DRIPPED) < 150
