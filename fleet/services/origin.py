"""Origin of the current action: the request, command or task. Audit entries and log lines include it."""

from __future__ import annotations

import getpass
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache

from django.conf import settings

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")


@dataclass(frozen=True, slots=True)
class Origin:
    """How something reached Muster (page, api, command, worker), from which address, and the id of the request."""

    via: str
    address: str = ""
    request_id: str = ""


_ORIGIN: ContextVar[Origin | None] = ContextVar("origin", default=None)


def current() -> Origin:
    """Returns the origin of the current action; outside of a request or task that of the process."""
    return _ORIGIN.get() or _of_process()


def request_id() -> str:
    """Returns the id of the current request or task, or an empty string."""
    origin = _ORIGIN.get()
    return origin.request_id if origin else ""


@contextmanager
def coming_from(origin: Origin) -> Iterator[None]:
    """Makes `origin` the current one for as long as the block lasts."""
    token = _ORIGIN.set(origin)
    try:
        yield
    finally:
        _ORIGIN.reset(token)


def begin(origin: Origin | None) -> None:
    """Makes `origin` the current one until the next, or none: for signals that have no block."""
    _ORIGIN.set(origin)


def new_id(given: str = "") -> str:
    """Returns the id that was given if it is plain and short enough for a log line, else a new one."""
    return given if _ID.fullmatch(given) else secrets.token_hex(8)


@cache
def _of_process() -> Origin:
    if settings.ROLE != "command":
        return Origin("worker" if settings.ROLE == "worker" else "page")
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's uid without a name
        user = "unknown"
    return Origin("command", f"{user}@{socket.gethostname()}"[:200])
