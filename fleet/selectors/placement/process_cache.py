"""Answers cached in this process while the data that they depend on do not change."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class ProcessCache(Generic[T]):
    """The newest answer for each key, with the version of the data that it follows from.

    The version contains the scope: what one reader may see is never an answer to another. `most` limits the number of keys.
    """

    def __init__(self, most: int = 1000) -> None:
        self._kept: dict[Hashable, tuple[Hashable, T]] = {}
        self._most = most

    def get(self, version: Hashable, make: Callable[[], T], key: Hashable = None) -> T:
        """Returns the answer of this version; computes it, replacing an older one, where it is not cached."""
        kept = self._kept.get(key)
        if kept is None or kept[0] != version:
            kept = version, make()
            self._kept.pop(key, None)
            while len(self._kept) >= self._most:
                self._kept.pop(next(iter(self._kept)), None)
            self._kept[key] = kept
        return kept[1]

    def clear(self) -> None:
        self._kept.clear()
