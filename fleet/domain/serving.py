"""What a model server did between two looks: its counters run since its start, so rates need the look before."""

from __future__ import annotations

from datetime import datetime

import msgspec

from fleet.domain.outcomes import Outcome
from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.subject import ClusterMemory
from fleet.domain.telemetry import ModelServer


def watch(snapshot: ClusterSnapshot, memory: ClusterMemory) -> ClusterSnapshot:
    """The snapshot with its model servers' rates, against the servers as they are remembered."""
    if not snapshot.telemetry.servers:
        return snapshot
    before = {(one.namespace, one.pod): one for node in memory.nodes.values() for one in node.servers}
    servers = tuple(since(one, before.get((one.namespace, one.pod)), snapshot.taken_at) for one in snapshot.telemetry.servers)
    return msgspec.structs.replace(snapshot, telemetry=msgspec.structs.replace(snapshot.telemetry, servers=servers))


def since(now: ModelServer, before: ModelServer | None, at: datetime) -> ModelServer:
    """One server against the look before. A server that did not answer this time keeps its numbers, with their own age.

    A counter that went back was started anew: then nobody knows what it did in between, and the rates are None.
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
    """By how much a counter grew; None where that cannot be known."""
    return None if now is None or before is None or now < before else now - before


def _served(now: ModelServer, before: ModelServer) -> bool:
    """Whether it answered a request since the look before. Tokens tell it too, while a long answer is still being given."""
    for one, other in ((now.requests, before.requests), (now.generation_tokens, before.generation_tokens)):
        if one is not None and other is not None and (one > other or (one < other and one > 0)):
            return True
    return False
