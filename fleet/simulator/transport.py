"""Faults of the connection, applied to a request before it is handled and to an answer before it is sent."""

from __future__ import annotations

import threading

from fleet.simulator import errors
from fleet.simulator.faults import Faults
from fleet.simulator.listing import Body
from fleet.simulator.messages import Answer, Request


class Hang(Exception):  # noqa: N818 — an outcome, not an error
    """The request is never answered."""


class Refuse(Exception):  # noqa: N818 — an outcome, not an error
    """The connection is broken off."""


def disturb(faults: Faults, request: Request, stopping: threading.Event) -> Answer | None:
    """Delay, drop or refuse a request as the faults say; None: let it through."""
    path = request.target
    if faults.unreachable in ("refused", "blackhole"):
        raise Refuse
    if faults.unreachable == "hang" or faults.matches(faults.hang_paths, path):
        stopping.wait(_longest(faults, path))
        raise Hang
    if faults.slow_seconds and (not faults.slow_paths or faults.matches(faults.slow_paths, path)):
        stopping.wait(faults.slow_seconds)
    if faults.spend("throttled"):
        return _as_answer(errors.too_many_requests(faults.retry_after))
    for part, code in faults.errors.items():
        if part in path and faults.spend("error_times"):
            return _as_answer(errors.internal_error(code))
    return None


def _longest(faults: Faults, path: str) -> float:
    return 600.0 if faults.unreachable or faults.matches(faults.hang_paths, path) else 0.0


def _as_answer(refusal: errors.Refusal) -> Answer:
    return Answer(refusal.body, refusal.code, refusal.content_type, refusal.headers)


def spoil(faults: Faults, request: Request, answer: Answer) -> int:
    """Damage an answer as the faults say. Returns the length that is promised for a body that will break off, else 0."""
    if answer.code >= 300:
        return 0
    if faults.matches(faults.malformed, request.target):
        answer.body = b"<html><body>Sign in to the proxy to go on</body></html>"
        return 0
    if faults.matches(faults.truncated, request.target):
        whole = answer.body.plain() if isinstance(answer.body, Body) else answer.body
        answer.body = whole[: len(whole) // 2]
        return len(whole)
    return 0
