"""Model servers of one node and the GPUs they use: their metrics, and contradictions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from fleet.domain.history.staleness import is_recent
from fleet.domain.snapshot.sections import Outcome
from fleet.models import ModelServerRow, Node
from fleet.selectors.nodes import telemetry
from fleet.selectors.nodes.gpu_rows import GpuRow

if TYPE_CHECKING:
    from fleet.selectors.nodes.gpu_rows import PodOn

BUSY = 60.0
"""Percent of GPU use from which a GPU counts as busy."""
IDLE = 5.0
"""Percent up to which it counts as idle."""
FULL = 0.95
"""Share of the KV cache from which it counts as full."""


class ServerSample(msgspec.Struct, frozen=True):
    """What a row keeps of the newest sample of a server. Outcomes are an open set: one of a newer version is not collected."""

    outcome: str = ""
    reason: str = ""
    ready: bool = False
    models: tuple[str, ...] = ()
    running: float | None = None
    waiting: float | None = None
    kv_cache: float | None = None
    tokens_per_s: float | None = None
    ttft_s: float | None = None


@dataclass(frozen=True, slots=True)
class ServerRow:
    """One model server pod. Numbers are None if it does not report them, or its last sample is too old."""

    namespace: str
    pod: str
    kind: str
    models: tuple[str, ...]
    ready: bool
    at: datetime | None
    served_at: datetime | None
    silent: str
    """Why its numbers are missing; empty where they are there."""
    running: float | None
    waiting: float | None
    kv_cache: float | None
    """Percent of the KV cache in use."""
    tokens_per_s: float | None
    ttft_s: float | None
    gpus: tuple[str, ...]
    """Indices of the GPUs on which the exporter names it."""
    gpu_util: float | None
    """Mean use of those GPUs, in percent."""
    notes: tuple[str, ...]
    """Contradictions, as sentences."""


def server_rows(node: Node, cards: Iterable[GpuRow], now: datetime) -> list[ServerRow]:
    """Every model server of the node. One query."""
    cards = tuple(cards)
    return [_row(item, cards, now) for item in ModelServerRow.objects.filter(node=node).order_by("namespace", "pod")]


def _row(model_server_row: ModelServerRow, cards: tuple[GpuRow, ...], now: datetime) -> ServerRow:
    server = msgspec.convert(model_server_row.server, ServerSample, strict=False)
    rows = [
        card
        for card in cards
        if any(pod.name == model_server_row.pod and pod.namespace == model_server_row.namespace for pod in _pods(card))
    ]
    used = [value for card in rows if (value := card.readings["gpu_util"].value) is not None]
    util = sum(used) / len(used) if used else None
    fresh = model_server_row.at is not None and is_recent(model_server_row.at, now, telemetry.stale_after())
    silent = "" if fresh and server.outcome == Outcome.COLLECTED else server.reason or "No recent metrics."
    measured = server if not silent else None
    kv = measured.kv_cache if measured else None
    running, waiting = (measured.running, measured.waiting) if measured else (None, None)
    tokens_per_s = measured.tokens_per_s if measured else None
    return ServerRow(
        namespace=model_server_row.namespace,
        pod=model_server_row.pod,
        kind=model_server_row.kind,
        models=server.models,
        ready=server.ready,
        at=model_server_row.at,
        served_at=model_server_row.served_at,
        silent=silent,
        running=running,
        waiting=waiting,
        kv_cache=None if kv is None else 100 * kv,
        tokens_per_s=tokens_per_s,
        ttft_s=measured.ttft_s if measured else None,
        gpus=tuple(card.index for card in rows),
        gpu_util=util,
        notes=mismatches(util, tokens_per_s=tokens_per_s, kv_cache=kv, waiting=waiting, running=running),
    )


def _pods(card: GpuRow) -> Iterable[PodOn]:
    return [*card.pods, *(pod for mig in card.migs for pod in mig.pods)]


def mismatches(
    gpu_util: float | None,
    *,
    tokens_per_s: float | None,
    kv_cache: float | None,
    waiting: float | None,
    running: float | None,
) -> tuple[str, ...]:
    """Returns contradictions between a server's metrics and its GPUs'. Ignores metrics that were not measured."""
    rows = []
    if gpu_util is not None and gpu_util >= BUSY and tokens_per_s == 0:
        rows.append(
            f"GPU use is {gpu_util:.0f} %, but no tokens are generated: the server may hang, or another process uses the GPU."
        )
    if gpu_util is not None and gpu_util <= IDLE and kv_cache is not None and kv_cache >= FULL:
        rows.append(f"The KV cache is full ({100 * kv_cache:.0f} %) while its GPUs are idle: requests wait for memory.")
    if gpu_util is not None and gpu_util <= IDLE and waiting and not running:
        rows.append(f"{waiting:.0f} requests are waiting and none is running while its GPUs are idle.")
    return tuple(rows)
