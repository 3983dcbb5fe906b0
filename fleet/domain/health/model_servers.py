"""Rates of model servers between two runs, from counters that run since the server's start."""

from __future__ import annotations

from datetime import datetime

import msgspec

from fleet.domain.evaluation.subject import ClusterHistory
from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import ModelServer


def watch(snapshot: ClusterSnapshot, history: ClusterHistory) -> ClusterSnapshot:
    """Returns the snapshot with its model servers' rates, computed against the history."""
    if not snapshot.telemetry.servers:
        return snapshot
    before = {(server.namespace, server.pod): server for node in history.nodes.values() for server in node.servers}
    servers = tuple(since(item, before.get((item.namespace, item.pod)), snapshot.taken_at) for item in snapshot.telemetry.servers)
    return msgspec.structs.replace(snapshot, telemetry=msgspec.structs.replace(snapshot.telemetry, servers=servers))


def since(now: ModelServer, before: ModelServer | None, at: datetime) -> ModelServer:
    """Returns one server with its rates since the previous run.

    A server that did not answer keeps its numbers, with their own age.

    A counter that decreased was reset: the rates are then None.
    """
    ready_at = at if now.ready else before.ready_at if before else None
    if before is not None and before.kind != now.kind:
        before = None
    if now.outcome is not Outcome.COLLECTED:
        if before is None:
            return msgspec.structs.replace(now, ready_at=ready_at)
        return msgspec.structs.replace(before, ready=now.ready, outcome=now.outcome, reason=now.reason, ready_at=ready_at)
    if before is None or before.at is None or now.at is None:
        return msgspec.structs.replace(now, ready_at=ready_at, served_at=before.served_at if before else None)
    seconds = (now.at - before.at).total_seconds()
    if seconds <= 0:
        return msgspec.structs.replace(
            now,
            ready_at=ready_at,
            served_at=before.served_at,
            tokens_per_s=before.tokens_per_s,
            requests_per_s=before.requests_per_s,
            ttft_s=before.ttft_s,
        )
    requests, tokens = _grown(now.requests, before.requests), _grown(now.generation_tokens, before.generation_tokens)
    first, answered = _grown(now.ttft_sum, before.ttft_sum), _grown(now.ttft_count, before.ttft_count)
    return msgspec.structs.replace(
        now,
        ready_at=ready_at,
        served_at=now.at if _served(now, before) else before.served_at,
        tokens_per_s=None if tokens is None else tokens / seconds,
        requests_per_s=None if requests is None else requests / seconds,
        ttft_s=first / answered if first is not None and answered else None,
    )


def _grown(now: float | None, before: float | None) -> float | None:
    """Returns the growth of a counter; None where it is unknown."""
    return None if now is None or before is None or now < before else now - before


def _served(now: ModelServer, before: ModelServer) -> bool:
    """Returns whether it answered a request since the previous run.

    Generated tokens count too, for a long response in progress.
    """
    for item, other in ((now.requests, before.requests), (now.generation_tokens, before.generation_tokens)):
        if item is not None and other is not None and (item > other or (item < other and item > 0)):
            return True
    return False
