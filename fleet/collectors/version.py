"""Reads the server's version: the first request of every run, which also shows whether the server answers."""

from __future__ import annotations

import msgspec

from fleet.collectors.errors import NOT_JSON, Asked, Failure, shorten
from fleet.collectors.session import SMALL_TIMEOUT_S, Session
from fleet.domain.snapshot.sections import Outcome


class _Version(msgspec.Struct, rename="camel", gc=False):
    git_version: str | None = None


def fetch(session: Session) -> str:
    """`v1.36.2`. Raises Failure; malformed where the server is not an API server."""
    session.client.find_host(session.deadline)
    answer = session.get("/version", Asked(verb="get", resource="/version"), timeout_s=SMALL_TIMEOUT_S)
    return parse(answer.body)


def parse(body: bytes | bytearray) -> str:
    try:
        version = msgspec.json.decode(body, type=_Version).git_version
    except NOT_JSON as error:
        raise Failure(Outcome.MALFORMED, f"The server is not a Kubernetes API server ({shorten(str(error), 120)}).") from None
    if not version:
        raise Failure(Outcome.MALFORMED, "The server is not a Kubernetes API server: it returns no version.")
    return version
