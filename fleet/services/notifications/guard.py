"""Nothing that people enter as a target may make Muster talk into its own network (SSRF).

While `only_outside` holds, every connection that this thread of control makes is looked at in the moment it is made, at the
address it really goes to: an audit hook of the interpreter sees it, whichever library opens the socket. A name that leads
outside when it is checked and inside when it is used (DNS rebinding), a redirect, a second host that a library looks up by
itself: all meet the same question. There is nothing between the check and the use.

Through a proxy (HTTPS_PROXY, HTTP_PROXY, NO_PROXY) the connection goes to the proxy alone, and the host that each request names
to it is looked up and checked before the request is sent. What the proxy then resolves is the proxy's to restrict.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed lacks it

from django.conf import settings

from fleet.collectors.timed_responses import is_over

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# IANA's registries of special-purpose addresses, without what is reachable from everywhere.
_INSIDE: dict[str, tuple[str, ...]] = {
    "this machine": ("0.0.0.0/8", "127.0.0.0/8", "::1/128", "::/128"),
    "a private network": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"),
    "a carrier's or cloud's shared network": ("100.64.0.0/10",),
    "a link-local address": ("169.254.0.0/16", "fe80::/10"),
    "a multicast or broadcast address": ("224.0.0.0/4", "255.255.255.255/32", "ff00::/8"),
    "a reserved address": (
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4"),
        *("::/96", "100::/64", "100:0:0:1::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16"),
        "64:ff9b:1::/48",
    ),
}
_NETWORKS = [(ipaddress.ip_network(net), word) for word, nets in _INSIDE.items() for net in nets]
# Where clouds hand out the machine's own credentials. No setting opens these.
_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        (
            *("169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
            *("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"),
        ),
    )
)
# IPv6 forms that carry an IPv4 address: (network, bits to the right of it).
_CARRIERS = (
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 0),
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),
    (ipaddress.IPv6Network("::/96"), 0),
    (ipaddress.IPv6Network("2002::/16"), 80),
)


_INTERNAL_NAMES = (".internal", ".local", ".localhost", ".svc", ".lan", ".corp", ".home", ".home.arpa", ".intranet", ".private")
_TO_PROXY = re.compile(rb"[A-Z]+ (?:(?P<url>https?://\S+)|\[?(?P<host>[^\s\[\]/]+?)\]?:\d+) HTTP/1")


class RefusedError(OSError):
    """A connection that is not allowed. Its text is a sentence for people."""


def refusal(address: Address) -> str:
    """Why connections to this address are not allowed, as words that complete "… is"; empty where they are."""
    forms = [address, *_carried(address)]
    if any(form in _METADATA for form in forms):
        return "a metadata service of a cloud"
    if any(_is_in(form, settings.NOTIFY_ALLOWED_NETWORKS) for form in forms):
        return ""
    return next((word for form in forms for net, word in _NETWORKS if form.version == net.version and form in net), "")


def check_host(host: str, *, resolved_by_proxy: bool = False) -> None:
    """Looks a host up and raises RefusedError where any of its addresses is not to be spoken to, or where there is none.

    With `resolved_by_proxy` a public name without an address here is left to the proxy.
    """
    name = host.strip("[]").rstrip(".").lower()
    try:
        rows = {str(row[4][0]) for row in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        if resolved_by_proxy and "." in name and parse(name) is None and not name.endswith(_INTERNAL_NAMES):
            return
        raise RefusedError(f"The host {host} cannot be found.") from error
    for text in sorted(rows):
        address = parse(text)
        if address is None or (why := _why(address, name)):
            raise RefusedError(_sentence(host, text, why if address else "no address of the internet"))


def proxy_for(address: str) -> str:
    """Returns the proxy that the environment names for an address, or an empty string."""
    parts = urlsplit(address)
    host = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    if proxy_bypass_environment(host):
        return ""
    proxies = getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


@contextmanager
def only_outside() -> Iterator[Watch]:
    """While it lasts, connections into Muster's own network fail with RefusedError. Yields what was refused."""
    _listen()
    watch = Watch(proxies=_proxies())
    token = _WATCH.set(watch)
    try:
        yield watch
    finally:
        _WATCH.reset(token)


def _proxies() -> frozenset[tuple[str, int]]:
    """Host and port of each proxy of the environment."""
    proxies = set()
    for scheme in ("http", "https"):
        parts = urlsplit(proxy_for(f"{scheme}://muster.invalid"))
        if parts.hostname:
            proxies.add((parts.hostname.rstrip("."), parts.port or (443 if parts.scheme == "https" else 80)))
    return frozenset(proxies)


@dataclass
class Watch:
    """What the hook saw: the host that was looked up last, and the sentence of the first refusal."""

    host: str = ""
    refused: str = ""
    proxies: frozenset[tuple[str, int]] = frozenset()
    checking: bool = False
    """While a host that a request names is looked up: that look-up opens no connection."""


_WATCH: ContextVar[Watch | None] = ContextVar("watch", default=None)
_listening = False


def _listen() -> None:
    """Adds the hook, once a process and only where something is sent: it cannot be taken away again."""
    global _listening
    if not _listening:
        sys.addaudithook(_hook)
        _listening = True


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not event.startswith(("socket.", "http.client.send")):
        return
    watch = _WATCH.get()
    if watch is None or watch.checking:
        return
    if event == "socket.getaddrinfo":
        host = arguments[0]
        watch.host = (host.decode() if isinstance(host, bytes) else str(host or "")).rstrip(".").lower()
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        _judge(watch, arguments[1])
        if event == "socket.connect" and is_over():
            raise TimeoutError("timed out")  # a name may have any number of addresses that never answer
    elif event == "http.client.send" and watch.proxies:
        _judge_request(watch, arguments[1])


def _judge(watch: Watch, to: Any) -> None:
    """Raises RefusedError. Only numeric addresses can be checked: socket files and names are refused too."""
    if to is None:  # sendmsg on a connected socket, which was checked then
        return
    text = str(to[0]) if isinstance(to, tuple) and to else "a socket file"
    address = parse(text)
    if address is not None and (watch.host or text, to[1]) in watch.proxies:
        return
    why = "no address of the internet" if address is None else _why(address, watch.host)
    if why:
        _refuse(watch, _sentence(watch.host or text, text, why))


def _judge_request(watch: Watch, data: Any) -> None:
    """Raises RefusedError where the head of a request names a host to a proxy that must not be reached."""
    match = _TO_PROXY.match(data) if isinstance(data, bytes | bytearray) else None
    if match is None:
        return
    host = (urlsplit(match["url"].decode("latin-1")).hostname if match["url"] else match["host"].decode("latin-1")) or ""
    watch.checking = True
    try:
        check_host(host, resolved_by_proxy=settings.NOTIFY_PROXY_RESOLVES)
    except RefusedError as error:
        _refuse(watch, str(error))
    finally:
        watch.checking = False


def _refuse(watch: Watch, sentence: str) -> None:
    watch.refused = watch.refused or sentence
    raise RefusedError(watch.refused)


def _why(address: Address, host: str) -> str:
    why = refusal(address)
    if why and host in settings.NOTIFY_ALLOWED_HOSTS and "metadata" not in why:
        return ""
    return why


def _sentence(host: str, text: str, why: str) -> str:
    leads = f"{host} is" if host == text else f"{host} resolves to {text}, which is"
    return f"{leads} {why}. Messages are not sent there unless MUSTER_NOTIFY_ALLOW_PRIVATE allows it."


def parse(text: str) -> Address | None:
    """An address out of a socket's text; the zone of a link-local one (%eth0) does not matter."""
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _carried(address: Address) -> list[Address]:
    if not isinstance(address, ipaddress.IPv6Address):
        return []
    return [
        ipaddress.IPv4Address((int(address) >> shift) & 0xFFFFFFFF)
        for net, shift in _CARRIERS
        if address in net and int(address) > 1
    ]


def _is_in(address: Address, networks: Any) -> bool:
    return any(address.version == net.version and address in net for net in networks)
