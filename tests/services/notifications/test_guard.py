"""Addresses inside the deployment's own network, in every disguise; names that change their mind; redirects."""

from __future__ import annotations

import ipaddress
import socket
import sys
import threading
from typing import Any

import pytest
import urllib3

from fleet.services.notifications import guard
from tests.services.notifications.receivers import HttpReceiver


def allow(settings: Any, *networks: str, hosts: tuple[str, ...] = ()) -> None:
    settings.NOTIFY_ALLOWED_NETWORKS = tuple(ipaddress.ip_network(net) for net in networks)
    settings.NOTIFY_ALLOWED_HOSTS = hosts


INSIDE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
    "169.254.1.1", "224.0.0.251", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.0.8", "192.0.2.1", "198.18.0.1",
    "203.0.113.9", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "2001:db8::1",
    "2001::1", "64:ff9b:1::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:10.0.0.1", "::127.0.0.1", "64:ff9b::10.0.0.1",
    "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a00:1::1", "2002:c0a8:101::",
]  # fmt: skip
OUTSIDE = ["8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.255.255", "100.128.0.1", "2606:4700::1", "64:ff9b::8.8.8.8"]
METADATA = [
    "169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fd00:ec2::254", "100.100.100.200", "168.63.129.16",
    "192.0.0.192", "169.254.170.2",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_inside_is_refused(address: str) -> None:
    parse = guard.parse(address)
    assert parse is not None
    assert guard.refusal(parse)


@pytest.mark.parametrize("address", OUTSIDE)
def test_outside_is_not(address: str) -> None:
    assert guard.refusal(ipaddress.ip_address(address)) == ""


@pytest.mark.parametrize("address", METADATA)
def test_no_setting_opens_a_metadata_service(address: str, settings: Any) -> None:
    allow(settings, "0.0.0.0/0", "::/0", hosts=("metadata",))
    assert "metadata" in guard.refusal(ipaddress.ip_address(address))
    assert "metadata" in guard._why(ipaddress.ip_address(address), "metadata")


def test_what_the_setting_names_is_open_in_every_form(settings: Any) -> None:
    allow(settings, "10.1.0.0/16")
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3"):
        assert guard.refusal(ipaddress.ip_address(address)) == ""
    assert guard.refusal(ipaddress.ip_address("10.2.0.1"))


def leads_to(monkeypatch: pytest.MonkeyPatch, *rounds: list[str]) -> list[str]:
    """Names lead to these addresses: the first list at the first look-up, and so on. Returns the names that were asked for."""
    asked: list[str] = []
    left = list(rounds)
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *arguments: Any, **more: Any) -> Any:
        if isinstance(host, str) and host.endswith(".test"):
            asked.append(host)
            sys.audit("socket.getaddrinfo", host, port, 0, 0, 0)  # as the real one does
            result = left.pop(0) if len(left) > 1 else left[0]
            family = {4: socket.AF_INET, 6: socket.AF_INET6}
            return [
                (
                    family[ipaddress.ip_address(item).version],
                    socket.SOCK_STREAM,
                    6,
                    "",
                    (item, port or 0, 0, 0)[: 2 if "." in item else 4],
                )
                for item in result
            ]
        return real(host, port, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def test_one_inside_address_among_many_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    leads_to(monkeypatch, ["93.184.216.34", "10.0.0.5"])
    with pytest.raises(guard.RefusedError, match=r"hooks\.test resolves to 10\.0\.0\.5, which is a private network"):
        guard.check_host("hooks.test")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "127.1", "2130706433", "0x7f.1", "[::1]", "127.0.0.1."])
def test_spellings_of_this_machine(host: str) -> None:
    with pytest.raises(guard.RefusedError):
        guard.check_host(host)


def test_a_name_that_does_not_resolve_is_reported() -> None:
    with pytest.raises(guard.RefusedError, match="cannot be found"):
        guard.check_host("nobody.invalid")


def test_an_allowed_host_may_be_inside_and_nothing_beside_it(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    allow(settings, hosts=("chat.test",))
    leads_to(monkeypatch, ["10.0.0.5"])
    guard.check_host("chat.test")
    guard.check_host("Chat.test.")
    with pytest.raises(guard.RefusedError):
        guard.check_host("other.test")


def fetch(url: str, **more: Any) -> int:
    with urllib3.PoolManager() as pool:
        return int(pool.request("POST", url, retries=urllib3.Retry(2, backoff_factor=0), timeout=5, **more).status)


def test_a_name_that_changes_its_mind_does_not_get_through(monkeypatch: pytest.MonkeyPatch, receiver: HttpReceiver) -> None:
    """DNS rebinding: outside when it is checked, inside when it is used."""
    asked = leads_to(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
    guard.check_host("rebind.test")
    with guard.only_outside() as watch, pytest.raises(urllib3.exceptions.HTTPError):
        fetch(f"http://rebind.test:{receiver.port}/")
    assert watch.refused.startswith("rebind.test resolves to 127.0.0.1, which is this machine")
    assert len(asked) >= 2
    assert receiver.requests == []


def test_a_redirect_inside_does_not_get_through(monkeypatch: pytest.MonkeyPatch, settings: Any, receiver: HttpReceiver) -> None:
    """The first host is allowed by name; where it sends us is not."""
    allow(settings, hosts=("front.test",))
    leads_to(monkeypatch, ["127.0.0.1"])
    receiver.answers = [(307, {"Location": f"http://127.0.0.1:{receiver.port}/inside"})]
    with guard.only_outside() as watch, pytest.raises(urllib3.exceptions.HTTPError):
        fetch(f"http://front.test:{receiver.port}/", body=b"x")
    assert "127.0.0.1 is this machine" in watch.refused
    assert [request.path for request in receiver.requests] == ["/"]


def test_the_guard_lasts_as_long_as_it_is_asked_for_and_for_this_thread_only(receiver: HttpReceiver) -> None:
    statuses: list[int] = []
    with guard.only_outside():
        other = threading.Thread(target=lambda: statuses.append(fetch(receiver.url + "/other")))
        other.start()
        other.join()
    assert fetch(receiver.url + "/after") == 200
    assert statuses == [200]


def test_a_socket_file_is_no_way_out(tmp_path: Any) -> None:
    with socket.socket(socket.AF_UNIX) as client, guard.only_outside() as watch, pytest.raises(guard.RefusedError):
        client.connect(str(tmp_path / "docker.sock"))
    assert "no address of the internet" in watch.refused


def test_datagrams_are_looked_at_too() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client, guard.only_outside(), pytest.raises(guard.RefusedError):
        client.sendto(b"x", ("127.0.0.1", 9))
