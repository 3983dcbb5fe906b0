"""HTTP requests and answers of the simulated API servers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from fleet.simulator import errors
from fleet.simulator.listing import Body


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request."""

    method: str
    target: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes = b""
    address: str = "127.0.0.1"


@dataclass(slots=True)
class Answer:
    """One HTTP answer; a watch has lines in place of a body."""

    body: Body | bytes
    code: int = 200
    content_type: str = errors.JSON
    headers: dict[str, str] = field(default_factory=dict)
    lines: Iterator[bytes] | None = None
