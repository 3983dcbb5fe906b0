"""How often a password may be tried: counted per name and address together, and per address, in windows of five minutes.

A known name cannot be locked out from elsewhere: each address has its own count. Counts are kept in Django's cache, which
all web processes share where the broker is Redis or Valkey. Names that do not exist are counted like others.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator
from datetime import datetime

from django.core.cache import cache

WINDOW_S = 300
MOST_OF_NAME = 10
MOST_OF_ADDRESS = 30
"""More than for a name: a whole office may have one address."""


def take(name: str, address: str, now: datetime) -> int:
    """Counts a try before it is made, so that many at once are counted too.

    Returns 0, or the seconds to wait where it is one too many and must not be made.
    """
    # Every count rises, also where another is used up: a client must not continue with another name.
    spent = [_rise(key) > most for key, most in _counts(name, address, now)]
    return WINDOW_S - int(now.timestamp()) % WINDOW_S if any(spent) else 0


def give_back(name: str, address: str, now: datetime) -> None:
    """Takes back a try that succeeded, and resets the count of its name.

    The count of an address stays: the owner of one account could otherwise continue to try others.
    """
    (of_name, _), *of_address = _counts(name, address, now)
    cache.delete(of_name)
    for key, _ in of_address:
        if cache.get(key):
            cache.decr(key)


def _counts(name: str, address: str, now: datetime) -> Iterator[tuple[str, int]]:
    """Key and most tries of what is counted; behind a Unix socket there is no address to count."""
    window = int(now.timestamp()) // WINDOW_S
    for kind, text, most in (
        ("name", f"{unicodedata.normalize('NFKC', name).strip().casefold()}\0{address}", MOST_OF_NAME),
        ("address", address, MOST_OF_ADDRESS),
    ):
        if text:
            yield f"sign-in:{kind}:{hashlib.sha256(text.encode()).hexdigest()}:{window}", most


def _rise(key: str) -> int:
    cache.add(key, 0, WINDOW_S)
    try:
        return cache.incr(key)
    except ValueError:  # it expired in between
        cache.set(key, 1, WINDOW_S)
        return 1
