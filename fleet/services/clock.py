"""The time of a collection run: the system's, or that of a replayed history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

from django.utils import timezone

Clock = Callable[[], datetime]

_clock: ContextVar[Clock | None] = ContextVar("muster_clock", default=None)


def current() -> Clock:
    """Returns the clock of this context. A thread that is started later does not inherit it: hand it over."""
    return _clock.get() or timezone.now


def now() -> datetime:
    """Returns this moment by the clock of this context."""
    return current()()


@contextmanager
def running(clock: Clock) -> Iterator[None]:
    """Makes collection runs of this context use `clock` within the block."""
    token = _clock.set(clock)
    try:
        yield
    finally:
        _clock.reset(token)
