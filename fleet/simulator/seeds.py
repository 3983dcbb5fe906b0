"""Deterministic choices: every value is a function of the seed and its purpose, never of the order of calls."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_T = TypeVar("_T")


class Seed:
    """A seed that answers for any purpose: `Seed(7).uuid("node", "a")` is the same in every run and on every machine."""

    __slots__ = ("_prefix",)

    def __init__(self, *scope: object) -> None:
        self._prefix = "\x1f".join(map(str, scope)).encode()

    def bytes_for(self, *purpose: object) -> bytes:
        """16 bytes that depend on the seed and the purpose only."""
        return self._digest(purpose, 16)

    def _digest(self, purpose: tuple[object, ...], size: int) -> bytes:
        text = self._prefix + b"\x1e" + "\x1f".join(map(str, purpose)).encode()
        return hashlib.blake2b(text, digest_size=size).digest()

    def number(self, below: int, *purpose: object) -> int:
        """An integer from 0 to `below` − 1."""
        return int.from_bytes(self.bytes_for(*purpose)[:8], "big") % below

    def share(self, *purpose: object) -> float:
        """A number from 0 (included) to 1 (excluded)."""
        return int.from_bytes(self.bytes_for(*purpose)[:8], "big") / 2**64

    def pick(self, choices: Sequence[_T], *purpose: object) -> _T:
        """One of the choices."""
        return choices[self.number(len(choices), *purpose)]

    def hex(self, length: int, *purpose: object) -> str:
        """Lower-case hexadecimal text of up to 128 digits, for digests, container ids and the like."""
        return self._digest(purpose, (length + 1) // 2).hex()[:length]

    def uuid(self, *purpose: object) -> str:
        """A random-looking UUID (version 4 in form)."""
        raw = bytearray(self.bytes_for(*purpose))
        raw[6] = (raw[6] & 0x0F) | 0x40
        raw[8] = (raw[8] & 0x3F) | 0x80
        text = raw.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def suffix(self, length: int, *purpose: object) -> str:
        """Text in the alphabet that Kubernetes uses for generated names (no vowels, no 0, 1 or 3)."""
        raw = self.bytes_for(*purpose)
        return "".join(_SUFFIX_ALPHABET[byte % len(_SUFFIX_ALPHABET)] for byte in raw[:length])
