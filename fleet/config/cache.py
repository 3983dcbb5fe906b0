"""Cache of counts that all web processes share: in Redis or Valkey, and in the process itself while that does not answer."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

_RETRY_AFTER_S = 5.0


def address_of(broker_url: str) -> str:
    """Returns the Redis URL of the database next to the broker's own; empty where the broker is not Redis."""
    if not broker_url.startswith("redis"):
        return ""
    if broker_url.startswith("redis+socket://"):
        return f"unix://{urlsplit(broker_url).path}?db=1"
    parts = urlsplit(broker_url)
    number = parts.path.strip("/")
    beside = (int(number) + 1) % 16 if number.isdigit() else 1
    return urlunsplit(parts._replace(path=f"/{beside}"))


class SharedCache(RedisCache):
    """Redis; after a failure, for 5 s, a cache of this process, so that limits neither fail requests nor stop working."""

    def __init__(self, server: Any, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._local = LocMemCache("muster", {"OPTIONS": {"MAX_ENTRIES": 20_000}})
        self._broken_until = 0.0

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if time.monotonic() >= self._broken_until:
            try:
                return getattr(super(), name)(*args, **kwargs)
            except (RedisError, OSError):
                self._broken_until = time.monotonic() + _RETRY_AFTER_S
        return getattr(self._local, name)(*args, **kwargs)

    def add(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("add", *args, **kwargs)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("get", *args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("set", *args, **kwargs)

    def touch(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("touch", *args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("delete", *args, **kwargs)

    def incr(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("incr", *args, **kwargs)

    def has_key(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("has_key", *args, **kwargs)

    def clear(self) -> Any:
        return self._call("clear")
