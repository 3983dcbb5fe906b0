"""Opens connections through a SOCKS5 proxy (RFC 1928, RFC 1929), as `proxy-url: socks5://…` of a kubeconfig asks for.

Written here because the whole handshake must end within one time-out: libraries bound each wait for a byte, not their sum.
As with kubectl the proxy resolves the name, for `socks5` as for `socks5h`.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from urllib.parse import unquote, urlsplit

import msgspec

from fleet.collectors.deadline import Deadline
from fleet.collectors.errors import ConfigurationError

SCHEMES = ("socks5", "socks5h")
_VERSION, _NO_LOGIN, _PASSWORD, _CONNECT = 5, 0, 2, 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_REFUSALS = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "time to live expired",
    7: "it cannot connect",
    8: "it does not know this kind of address",
}


class SocksProxy(msgspec.Struct, frozen=True, kw_only=True):
    """One SOCKS5 proxy. Holds a secret: never log it."""

    host: str
    port: int
    username: str = ""
    password: str = ""

    def connect(self, host: str, port: int, deadline: Deadline) -> socket.socket:
        """Returns a socket that leads to `host`, without a time-out of its own. Raises OSError, TimeoutError at the deadline."""
        sock = socket.create_connection((self.host, self.port), deadline.at_most(deadline.seconds))
        try:
            self._log_in(sock, deadline)
            _send(sock, bytes((_VERSION, _CONNECT, 0)) + _address(host) + struct.pack("!H", port), deadline)
            version, refusal, _, kind = _read(sock, 4, deadline)
            if version != _VERSION:
                raise OSError("it does not speak SOCKS5")
            if refusal:
                raise OSError(_REFUSALS.get(refusal, f"refused with code {refusal}"))
            length = {_IPV4: 4, _IPV6: 16}.get(kind) or _read(sock, 1, deadline)[0]
            _read(sock, length + 2, deadline)
        except BaseException:
            sock.close()
            raise
        return sock

    def _log_in(self, sock: socket.socket, deadline: Deadline) -> None:
        methods = (_NO_LOGIN, _PASSWORD) if self.username else (_NO_LOGIN,)
        _send(sock, bytes((_VERSION, len(methods), *methods)), deadline)
        version, method = _read(sock, 2, deadline)
        if version != _VERSION:
            raise OSError("it does not speak SOCKS5")
        if method == _PASSWORD and self.username:
            name, password = self.username.encode()[:255], self.password.encode()[:255]
            _send(sock, bytes((1, len(name))) + name + bytes((len(password),)) + password, deadline)
            if _read(sock, 2, deadline)[1]:
                raise OSError("it does not accept the name and password")
        elif method != _NO_LOGIN:
            raise OSError("it demands a way to log in that was not given")


def parse_proxy(url: str) -> SocksProxy | None:
    """Returns the proxy of a socks5 URL; None for a URL of another scheme.

    Raises ConfigurationError for a version of SOCKS that cannot be used, and for an address without a host.
    """
    scheme = url.partition("://")[0].lower()
    if not scheme.startswith("socks"):
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 1080
    except ValueError:
        host, port = None, 0
    if scheme not in SCHEMES or not host:
        raise ConfigurationError(f"The proxy-url begins with {scheme}://; use http://, https:// or socks5://HOST:PORT.")
    return SocksProxy(host=host, port=port, username=unquote(parts.username or ""), password=unquote(parts.password or ""))


def _address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        name = host.encode("idna")
        return bytes((_NAME, len(name))) + name
    return bytes((_IPV4 if address.version == 4 else _IPV6,)) + address.packed


def _send(sock: socket.socket, data: bytes, deadline: Deadline) -> None:
    sock.settimeout(_left(deadline))
    sock.sendall(data)


def _read(sock: socket.socket, count: int, deadline: Deadline) -> bytes:
    content = b""
    while len(content) < count:
        sock.settimeout(_left(deadline))
        part = sock.recv(count - len(content))
        if not part:
            raise OSError("it closed the connection")
        content += part
    return content


def _left(deadline: Deadline) -> float:
    left = deadline.remaining()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
