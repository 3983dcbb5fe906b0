"""Model servers of one node beside the cards they use: their own numbers, and what does not fit together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleet.models import ModelServerRow, Node
from fleet.selectors import telemetry
from fleet.selectors.gpus import GpuRow

BUSY = 60.0
"""Percent of GPU use from which a card counts as busy."""
IDLE = 5.0
"""Percent up to which it counts as idle."""
FULL = 0.95
"""Share of the KV cache from which it counts as full."""


@dataclass(frozen=True, slots=True)
class ServerRow:
    """One model server pod. Numbers are None where it does not tell them, or has not been heard for too long."""

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
    """Indices of the cards on which the exporter names it."""
    gpu_util: float | None
    """Mean GPU use of those cards, in percent."""
    notes: tuple[str, ...]
    """What does not fit together, in plain sentences."""


def server_rows(node: Node, cards: Iterable[GpuRow], now: datetime) -> list[ServerRow]:
    """Every model server of the node. One query."""
    cards = tuple(cards)
    return [_row(one, cards, now) for one in ModelServerRow.objects.filter(node=node).order_by("namespace", "pod")]


def _row(one: ModelServerRow, cards: tuple[GpuRow, ...], now: datetime) -> ServerRow:
    server: Mapping[str, Any] = one.server
    mine = [card for card in cards if any(pod.name == one.pod and pod.namespace == one.namespace for pod in _pods(card))]
    used = [value for card in mine if (value := card.readings["gpu_util"].value) is not None]
    util = sum(used) / len(used) if used else None
    fresh = one.at is not None and now - one.at <= telemetry.stale_after()
    silent = "" if fresh and server.get("outcome") == "collected" else server.get("reason") or "It has not been heard lately."
    told = server if not silent else {}
    kv = told.get("kv_cache")
    row = {
        "running": told.get("running"),
        "waiting": told.get("waiting"),
        "kv_cache": None if kv is None else 100 * kv,
        "tokens_per_s": told.get("tokens_per_s"),
        "ttft_s": told.get("ttft_s"),
    }
    return ServerRow(
        namespace=one.namespace,
        pod=one.pod,
        kind=one.kind,
        models=tuple(server.get("models") or ()),
        ready=bool(server.get("ready")),
        at=one.at,
        served_at=one.served_at,
        silent=silent,
        gpus=tuple(card.index for card in mine),
        gpu_util=util,
        notes=mismatches(util, tokens_per_s=row["tokens_per_s"], kv_cache=kv, waiting=row["waiting"], running=row["running"]),
        **row,
    )


def _pods(card: GpuRow) -> Iterable[Any]:
    return [*card.pods, *(pod for mig in card.migs for pod in mig.pods)]


def mismatches(
    gpu_util: float | None,
    *,
    tokens_per_s: float | None,
    kv_cache: float | None,
    waiting: float | None,
    running: float | None,
) -> tuple[str, ...]:
    """What a server and its cards say that does not go together. A value nobody measured accuses nobody."""
    found = []
    if gpu_util is not None and gpu_util >= BUSY and tokens_per_s == 0:
        found.append(
            f"GPU use is {gpu_util:.0f} %, yet it generates no tokens: it may hang, load a model, or another program computes."
        )
    if gpu_util is not None and gpu_util <= IDLE and kv_cache is not None and kv_cache >= FULL:
        found.append(
            f"The KV cache is full ({100 * kv_cache:.0f} %) while its GPUs idle: requests wait for memory that is not given back."
        )
    if gpu_util is not None and gpu_util <= IDLE and waiting and not running:
        found.append(f"{waiting:.0f} requests wait and none runs, while its GPUs idle.")
    return tuple(found)
