"""IP addresses and networks in CEL, as Kubernetes reads them: strictly, without zones or IPv4 in IPv6."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

import msgspec

from fleet.domain.dra.cel_parser import UnsupportedError
from fleet.domain.dra.cel_values import CelError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_LONGEST = 45
_BITS = re.compile(r"0|[1-9]\d{0,2}", re.ASCII)
_LOCAL_MULTICAST = ipaddress.IPv4Network("224.0.0.0/24")
_EVERYONE = ipaddress.ip_address("255.255.255.255")


class Ip(msgspec.Struct, frozen=True):
    """An address."""

    address: Address


class Cidr(msgspec.Struct, frozen=True):
    """An address with a prefix length; its host bits may be set, and then it equals no masked one."""

    address: Address
    bits: int

    @property
    def network(self) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        return ipaddress.ip_network((self.address, self.bits), strict=False)


def _address(text: Any) -> Address | None:
    if not isinstance(text, str):
        raise CelError("no such overload")
    if len(text) > _LONGEST or "%" in text:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return None if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None else address


def _prefix(text: Any) -> Cidr | None:
    if not isinstance(text, str):
        raise CelError("no such overload")
    start, slash, end = text.rpartition("/")
    address = _address(start) if slash else None
    if address is None or not _BITS.fullmatch(end) or int(end) > address.max_prefixlen:
        return None
    return Cidr(address, int(end))


def ip(text: Any) -> Ip:
    """Returns the address of a text, or the one a network is written with."""
    if isinstance(text, Cidr):
        return Ip(text.address)
    address = _address(text)
    if address is None:
        raise CelError("IP address parse error")
    return Ip(address)


def cidr(text: Any) -> Cidr:
    prefix = _prefix(text)
    if prefix is None:
        raise CelError("network address parse error")
    return prefix


def is_canonical(text: Any) -> bool:
    return bool(str(ip(text).address) == text)


def _of_address(question: Callable[[Address], Any]) -> Callable[[Any], Any]:
    def answer(value: Any) -> Any:
        if isinstance(value, Ip):
            return question(value.address)
        raise CelError("no such overload")

    return answer


def _of_network(question: Callable[[Cidr], Any]) -> Callable[[Any], Any]:
    def answer(value: Any) -> Any:
        if isinstance(value, Cidr):
            return question(value)
        raise CelError("no such overload")

    return answer


def _is_local_multicast(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return address in _LOCAL_MULTICAST
    return (int(address) >> 112) & 0xFF0F == 0xFF02


def _is_local_unicast(address: Address) -> bool:
    return address.is_link_local


def _is_global_unicast(address: Address) -> bool:
    """As Go has it: everything but a few special addresses; private ones count."""
    special = address.is_unspecified or address.is_loopback or address.is_multicast or _is_local_unicast(address)
    return not special and address != _EVERYONE


def _contains_ip(value: Any, other: Any) -> bool:
    if not isinstance(value, Cidr):
        raise CelError("no such overload")
    return (other if isinstance(other, Ip) else ip(other)).address in value.network


def _contains_cidr(value: Any, other: Any) -> bool:
    """Unknown where versions of Kubernetes differ: some compare the inner address itself with the outer network's."""
    if not isinstance(value, Cidr):
        raise CelError("no such overload")
    inner, network = other if isinstance(other, Cidr) else cidr(other), value.network
    if inner.address not in network or value.bits > inner.bits:
        return False
    if inner.address != network.network_address:
        raise UnsupportedError("containsCIDR of this network differs between versions of Kubernetes.")
    return True


FUNCTIONS: dict[tuple[str, int], Callable[..., Any]] = {
    ("ip", 1): ip,
    ("isIP", 1): lambda text: _address(text) is not None,
    ("cidr", 1): cidr,
    ("isCIDR", 1): lambda text: _prefix(text) is not None,
}
METHODS: dict[tuple[str, int], Callable[..., Any]] = {
    ("family", 0): _of_address(lambda address: address.version),
    ("isUnspecified", 0): _of_address(lambda address: address.is_unspecified),
    ("isLoopback", 0): _of_address(lambda address: address.is_loopback),
    ("isLinkLocalMulticast", 0): _of_address(_is_local_multicast),
    ("isLinkLocalUnicast", 0): _of_address(_is_local_unicast),
    ("isGlobalUnicast", 0): _of_address(_is_global_unicast),
    ("containsIP", 1): _contains_ip,
    ("containsCIDR", 1): _contains_cidr,
    ("ip", 0): _of_network(ip),
    ("prefixLength", 0): _of_network(lambda network: network.bits),
    ("masked", 0): _of_network(lambda network: Cidr(network.network.network_address, network.bits)),
}


def to_text(value: Ip | Cidr) -> str:
    return str(value.address) if isinstance(value, Ip) else f"{value.address}/{value.bits}"
