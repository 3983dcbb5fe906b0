"""The client against real sockets: credentials, TLS, limits, and what a misbehaving server does to it."""

from __future__ import annotations

import base64
import gzip
import time
import tracemalloc
from pathlib import Path

import pytest

from fleet import __version__
from fleet.collectors import addresses, kube
from fleet.collectors.clients import open_client
from fleet.collectors.connections import Connection
from fleet.collectors.deadline import Deadline
from fleet.collectors.errors import Failure
from fleet.collectors.kube import Client
from fleet.domain.snapshot.sections import Outcome
from tests.collectors.clients import ASKED, OK, ask, client_for, failure_of
from tests.collectors.fake_api import FakeApi, Reply, serving, write_kubeconfig


def test_sends_its_own_name_and_its_token(tmp_path: Path) -> None:
    with serving({"/api/v1/nodes": Reply({"items": []}, gzip=True)}) as api:
        client = client_for(write_kubeconfig(tmp_path / "config", api.url, {"token": "abc\n"}))
        answer = ask(client, "/api/v1/nodes", params=[("limit", 500), ("continue", "a/b=")])
    (seen,) = api.seen
    assert answer.status == 200
    assert bytes(answer.body) == b'{"items": []}'
    assert seen.headers["User-Agent"] == f"muster/{__version__}"
    assert seen.headers["authorization"] == "Bearer abc"
    assert seen.headers["Accept-Encoding"] == "identity", "packing pays only where there is a network"
    assert (seen.first("limit"), seen.first("continue")) == ("500", "a/b=")


def test_posts_json(tmp_path: Path) -> None:
    with serving({"/review": Reply({"ok": True}, 201)}) as api:
        client = client_for(write_kubeconfig(tmp_path / "config", api.url))
        answer = client.request("POST", "/review", asked=ASKED, deadline=Deadline(5), body={"a": 1}, timeout_s=5, max_bytes=1000)
    assert answer.status == 201
    assert api.seen[0].body == b'{"a": 1}'
    assert api.seen[0].headers["Content-Type"] == "application/json"


def test_keeps_the_path_of_a_server_behind_a_proxy(tmp_path: Path) -> None:
    with serving({"/k8s/clusters/c-1/version": Reply({"ok": True})}) as api:
        client = client_for(write_kubeconfig(tmp_path / "config", f"{api.url}/k8s/clusters/c-1/"))
        assert ask(client, "/version").status == 200


def test_compression_can_be_turned_off_and_a_user_impersonated(tmp_path: Path) -> None:
    user = {"token": "t", "as": "system:serviceaccount:a:b", "as-groups": ["readers"]}
    with serving({"*": Reply({})}) as proxy:
        cluster = {"disable-compression": True, "proxy-url": proxy.url}
        ask(client_for(write_kubeconfig(tmp_path / "config", "http://api.invalid", user, cluster)))
    headers = proxy.seen[0].headers
    assert headers["Accept-Encoding"] == "identity"
    assert headers["Impersonate-User"] == "system:serviceaccount:a:b"
    assert headers["Impersonate-Group"] == "readers"


def test_basic_login(tmp_path: Path) -> None:
    with serving(OK) as api:
        ask(client_for(write_kubeconfig(tmp_path / "config", api.url, {"username": "u", "password": "p"})))
    assert api.seen[0].headers["authorization"] == "Basic " + base64.b64encode(b"u:p").decode()


def test_goes_through_the_proxy_of_the_kubeconfig(tmp_path: Path) -> None:
    with serving({"*": Reply({"by": "proxy"})}) as proxy:
        path = write_kubeconfig(tmp_path / "config", "http://api.invalid", None, {"proxy-url": proxy.url})
        client = client_for(path)
        client.find_host(Deadline(5))  # the proxy resolves the name, Muster must not try
        assert bytes(ask(client, "/version").body) == b'{"by": "proxy"}'
    assert proxy.seen[0].headers["Accept-Encoding"] == "gzip"


# --- servers that misbehave ---


def reading(api: FakeApi, tmp_path: Path) -> Client:
    return client_for(write_kubeconfig(tmp_path / "config", api.url))


def test_a_refused_connection(tmp_path: Path) -> None:
    with serving(OK) as api:
        client = reading(api, tmp_path)
    failure = failure_of(client)
    assert failure.outcome is Outcome.UNREACHABLE
    assert "Connection refused" in failure.reason
    assert failure.transient


def test_a_name_that_does_not_resolve(tmp_path: Path) -> None:
    client = client_for(write_kubeconfig(tmp_path / "config", "https://api.invalid:6443"))
    with pytest.raises(Failure) as caught:
        client.find_host(Deadline(5))
    assert caught.value.outcome is Outcome.UNREACHABLE
    assert "api.invalid" in caught.value.reason
    assert failure_of(client).outcome is Outcome.UNREACHABLE


def test_a_resolver_that_sleeps_costs_no_more_than_the_connect_time_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube, "CONNECT_TIMEOUT_S", 0.2)
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *_: time.sleep(3))
    client = client_for(write_kubeconfig(tmp_path / "config", "https://somewhere.example:6443"))
    started = time.monotonic()
    with pytest.raises(Failure, match="did not resolve"):
        client.find_host(Deadline(5))
    assert time.monotonic() - started < 2


def test_no_answer(tmp_path: Path) -> None:
    with serving({"/": Reply({}, delay=3)}) as api:
        failure = failure_of(reading(api, tmp_path), seconds=0.3)
    assert failure.outcome is Outcome.TIMEOUT


@pytest.mark.parametrize("chunked", [False, True])
def test_a_dripping_answer_ends_with_the_deadline(tmp_path: Path, chunked: bool) -> None:
    with serving({"/": Reply("x" * 10_000, drip=0.05, chunked=chunked)}) as api:
        started = time.monotonic()
        failure = failure_of(reading(api, tmp_path), seconds=0.5)
    assert failure.outcome is Outcome.TIMEOUT
    assert time.monotonic() - started < 2


def test_time_outs_do_not_add_up(tmp_path: Path) -> None:
    """A late answer that then stops: what it waited for its first byte is not given to the next once more."""
    with serving({"/": Reply("xx", delay=0.7, drip=3)}) as api:
        started = time.monotonic()
        failure = failure_of(reading(api, tmp_path), seconds=1.0)
    assert failure.outcome is Outcome.TIMEOUT
    assert time.monotonic() - started < 1.45


def test_an_answer_that_breaks_off(tmp_path: Path) -> None:
    with serving({"/": Reply({"items": []}, cut=True), "/chunked": Reply("x" * 9000, cut=True, chunked=True)}) as api:
        client = reading(api, tmp_path)
        for path in ("/", "/chunked"):
            failure = failure_of(client, path=path)
            assert failure.outcome is Outcome.UNREACHABLE
            assert failure.transient


def test_a_connection_closed_without_an_answer(tmp_path: Path) -> None:
    with serving({"/": Reply(reset=True)}) as api:
        failure = failure_of(reading(api, tmp_path))
    assert failure.outcome is Outcome.UNREACHABLE


@pytest.mark.parametrize("reply", [Reply("x" * 50_000), Reply("x" * 50_000, gzip=True), Reply("x" * 50_000, chunked=True)])
def test_an_answer_that_is_too_large(tmp_path: Path, reply: Reply) -> None:
    with serving({"/": reply}) as api:
        client = reading(api, tmp_path)
        assert failure_of(client, max_bytes=49_999).outcome is Outcome.TOO_LARGE
        assert len(ask(client, max_bytes=50_000).body) == 50_000


@pytest.mark.parametrize("layers", [1, 2])
def test_a_small_answer_that_unpacks_to_a_large_one_is_not_unpacked_whole(tmp_path: Path, layers: int) -> None:
    """100 MiB of zeros are 100 KiB packed once, and 400 bytes packed twice."""
    bomb = b"\0" * (100 * 2**20)
    for _ in range(layers):
        bomb = gzip.compress(bomb, 9)
    encoding = ", ".join(["gzip"] * layers)
    with serving({"/": Reply(bomb, headers={"Content-Encoding": encoding})}) as api:
        client = reading(api, tmp_path)
        tracemalloc.start()
        try:
            assert failure_of(client, max_bytes=2**20).outcome in (Outcome.TOO_LARGE, Outcome.MALFORMED)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 20 * 2**20


def test_a_body_that_only_claims_to_be_gzip(tmp_path: Path) -> None:
    with serving({"/": Reply(b"not gzip at all", headers={"Content-Encoding": "gzip"})}) as api:
        assert failure_of(reading(api, tmp_path)).outcome is Outcome.MALFORMED


def test_a_redirect_is_not_followed_with_the_token(tmp_path: Path) -> None:
    with serving({"/": Reply(b"", 302, {"Location": "/login"}), "/login": Reply({})}) as api:
        assert ask(reading(api, tmp_path)).status == 302
    assert api.paths() == ["/"]


def test_a_token_that_fits_no_header(tmp_path: Path) -> None:
    failure = failure_of(client_for(write_kubeconfig(tmp_path / "config", "http://127.0.0.1:9", {"token": "a\nb"})))
    assert failure.outcome is Outcome.UNAUTHORISED
    assert "a\nb" not in failure.reason


def test_connections_are_kept_open(tmp_path: Path) -> None:
    ports: set[int] = set()
    with serving({"/": Reply({"items": []}, chunked=True)}) as api:
        client = reading(api, tmp_path)
        for _ in range(3):
            ask(client)
            pools = client._transport._api.rest_client.pool_manager.pools  # type: ignore[union-attr]
            ports.update(pool.num_connections for pool in (pools[key] for key in pools.keys()))  # noqa: SIM118
    assert ports == {1}


def test_one_client_per_connection() -> None:
    result, other = Connection(name="a", server="https://a"), Connection(name="b", server="https://b")
    assert open_client(result) is open_client(Connection(name="a", server="https://a"))
    assert open_client(result) is not open_client(other)
