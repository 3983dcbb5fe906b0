"""Answers' bodies, read whole, within time and within bounds."""

from __future__ import annotations

from typing import Any

from fleet.collectors.deadline import Deadline
from fleet.collectors.errors import Asked, Failure
from fleet.domain.snapshot.sections import Outcome

_CHUNK = 256 * 1024


def read_body(response: Any, asked: Asked, deadline: Deadline, max_bytes: int) -> bytearray:
    """The whole body. A server that drips is cut off at the deadline, and one that never ends at `max_bytes`."""
    content = bytearray()
    while True:
        sock = getattr(response.connection, "sock", None)
        if sock is not None:
            sock.settimeout(deadline.at_most(deadline.seconds))
        chunk = response.read1(_CHUNK)
        if not chunk:
            return _without_nul(content)
        content += chunk
        if len(content) > max_bytes:
            response.close()
            size = f"{max_bytes / 2**20:.0f} MiB" if max_bytes >= 2**20 else f"{max_bytes} bytes"
            raise Failure(Outcome.TOO_LARGE, f"One answer to the request to {asked.words} is larger than {size}.")
        if deadline.spent:
            raise TimeoutError


def _without_nul(content: bytearray) -> bytearray:
    """Postgres cannot store NUL in text, and a container's termination message may contain one.

    It must not fail the whole run. As JSON writes it, and as it stands in an exporter's page.
    """
    for nul, mark in ((rb"\u0000", rb"\ufffd"), (b"\0", "\ufffd".encode())):
        if nul in content:
            content = content.replace(nul, mark)
    return content
