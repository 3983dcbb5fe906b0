"""Bounds what slow and idle connections cost a waitress server, and refuses a request that two servers read differently.

Waitress closes a connection that sent nothing for a while. Two kinds evade that: one that sends a byte now and then is never
idle, and as many connections as the server accepts block every other client until they time out.
"""

from __future__ import annotations

import contextlib
import resource
import time
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError

REQUEST_S = 60.0
"""From the first byte of a request to its last."""
FULL_AT = 0.8
"""Share of the connection limit above which idle connections are closed, the longest idle first."""
ROOM = 0.5
"""Share of the limit that is left then."""
KEPT_S = 1.0
"""A connection that spoke within this time is not idle: its request may still be on the way."""
OPEN_FILES = 8_192


class Parser(HTTPRequestParser):
    """Refuses a request with two lengths: a proxy that believes the other one would take its rest for another request."""

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length beside Transfer-Encoding")


class Channel(HTTPChannel):
    """One connection; its request must be complete within REQUEST_S, however steadily its bytes arrive."""

    parser_class = Parser
    began_at: float | None = None

    def received(self, data: bytes) -> bool:
        """Takes bytes of a request, and records when the first byte of an incomplete request arrived."""
        before = self.request
        result = bool(super().received(data))
        if self.request is None:
            self.began_at = None
        elif self.request is not before or self.began_at is None:
            self.began_at = time.monotonic()
        return result

    def is_overdue(self, now: float) -> bool:
        return self.request is not None and self.began_at is not None and now - self.began_at > self.server.request_s


def bound(server: Any, request_s: float = REQUEST_S) -> None:
    """Makes a server of waitress close connections with overdue requests, and idle ones where its limit comes near."""
    close_silent = server.maintenance

    def maintain(now: float) -> None:
        close_silent(now)
        monotonic = time.monotonic()
        channels = list(server.active_channels.values())
        for channel in channels:
            if channel.is_overdue(monotonic):
                channel.will_close = True
        limit = server.adj.connection_limit
        if len(channels) > FULL_AT * limit:
            idle = [channel for channel in channels if not channel.requests and now - channel.last_activity > KEPT_S]
            idle.sort(key=lambda channel: channel.last_activity)
            for channel in idle[: len(channels) - int(ROOM * limit)]:
                channel.will_close = True

    server.channel_class = Channel
    server.request_s = request_s
    server.maintenance = maintain


def allow_open_files() -> None:
    """Raises this process's own limit of open files: with the usual 1,024, connections alone could use them up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
