"""Clusters behind proxies of every kind that a kubeconfig may name: reached, and never longer than the run's deadline."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fleet.collectors.deadline import Deadline
from fleet.collectors.errors import ConfigurationError, Failure
from fleet.collectors.kube import Client
from fleet.domain.snapshot.sections import Outcome
from tests.collectors.certificates import authority, issue, server_context
from tests.collectors.clients import OK, ask, client_for, failure_of
from tests.collectors.fake_api import FakeApi, Reply, serving, write_kubeconfig
from tests.collectors.proxies import DRIPPED, Proxy, drip, proxying

KINDS = ("connect", "connect in TLS", "socks")
HOST = "api.cluster.invalid"
"""Does not resolve: only a proxy, which leads elsewhere whatever the name is, reaches it."""


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """What servers on loopback prove, by an authority that this process trusts for proxies too."""
    ca = authority()
    (tmp_path / "ca.pem").write_text(ca.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return server_context(tmp_path, issue(ca, "both", "127.0.0.1"))


@pytest.fixture
def api(tls: ssl.SSLContext) -> Iterator[FakeApi]:
    with serving(OK | {"/long": Reply("x" * 3000)}, tls=tls) as server:
        yield server


def a_proxy(api: FakeApi, kind: str, tls: ssl.SSLContext, **more: Any) -> Proxy:
    name, _, behind_tls = kind.partition(" in ")
    return Proxy(target=("127.0.0.1", urlsplit(api.url).port or 0), kind=name, tls=tls if behind_tls else None, **more)


def behind(url: str, tmp_path: Path) -> Client:
    cluster = {"proxy-url": url, "certificate-authority": str(tmp_path / "ca.pem"), "tls-server-name": "127.0.0.1"}
    return client_for(write_kubeconfig(tmp_path / "config", f"https://{HOST}:6443", None, cluster))


@pytest.mark.parametrize("kind", KINDS)
def test_a_cluster_is_read_through_a_proxy_that_resolves_its_name(
    api: FakeApi, kind: str, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    with proxying(a_proxy(api, kind, tls)) as proxy:
        client = behind(proxy.url, tmp_path)
        client.find_host(Deadline(5))
        for path in ("/", "/long", "/"):
            assert ask(client, path).status == 200
    assert proxy.asked == [f"{HOST}:6443"], "one connection, used again"


@pytest.mark.parametrize("part", ["answer", "relay"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_proxy_that_drips_holds_no_request_beyond_the_deadline(
    api: FakeApi, kind: str, part: str, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    """What it sends is some thousand bytes, each of which comes at once: a client that waits for all waits for a minute."""
    with proxying(a_proxy(api, kind, tls, **{part: drip})) as proxy:
        failure = failure_of(behind(proxy.url, tmp_path), seconds=0.5)
    assert failure.outcome in (Outcome.TIMEOUT, Outcome.UNREACHABLE), failure.reason
    assert 0 < len(DRIPPED) < 250


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_drips_through_a_proxy_ends_with_the_deadline(
    api: FakeApi, kind: str, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    """The connection is there already, so that only what follows drips: headers and body within TLS."""
    with proxying(a_proxy(api, kind, tls)) as proxy:
        client = behind(proxy.url, tmp_path)
        assert ask(client).status == 200
        proxy.relay = drip
        assert failure_of(client, path="/long", seconds=0.5).outcome is Outcome.TIMEOUT
    assert 0 < len(DRIPPED) < 250


def test_a_socks_proxy_that_demands_a_name_and_a_password(api: FakeApi, tls: ssl.SSLContext, tmp_path: Path) -> None:
    with proxying(a_proxy(api, "socks", tls, login=("me", "p@ss"))) as proxy:
        assert ask(behind(proxy.url.replace("//", "//me:p%40ss@"), tmp_path)).status == 200
        for url in (proxy.url, proxy.url.replace("//", "//me:wrong@")):
            failure = failure_of(behind(url, tmp_path))
            assert failure.outcome is Outcome.UNREACHABLE
            assert "proxy" in failure.reason
            assert "wrong" not in failure.reason


def test_an_older_socks_is_refused_with_a_sentence(tls: ssl.SSLContext, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"begins with socks4://; use .* socks5://"):
        ask(behind("socks4://127.0.0.1:1080", tmp_path))


def test_a_proxy_without_a_name_that_resolves_is_a_name_that_cannot_be_found(tls: ssl.SSLContext, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"The name proxy\.invalid cannot be found"):
        behind("socks5://proxy.invalid:1080", tmp_path).find_host(Deadline(5))
