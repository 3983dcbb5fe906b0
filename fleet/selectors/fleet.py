"""The fleet in figures: the same selector answers the front page and the API."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, QuerySet, Sum

from fleet.models import Cluster, Node, NodeResource

STATES = ("full", "partial", "none", "not_ready", "cordoned", "unknown")


@dataclass(frozen=True, slots=True)
class Missing:
    """Physical GPUs that are expected and not on offer, for one reason."""

    state: str
    reason: str
    count: int
    nodes: int


@dataclass(frozen=True, slots=True)
class SlotSums:
    """Advertised units, never physical GPUs. None where no node told the figure."""

    capacity: int | None
    allocatable: int | None
    requested: int | None
    free: int | None


@dataclass(frozen=True, slots=True)
class ModeRow:
    """Slots of one way of sharing."""

    mode: str
    nodes: int
    physical: int | None
    slots: SlotSums


@dataclass(frozen=True, slots=True)
class Summary:
    """What the fleet has. `offered` of `expected` physical GPUs; `missing` adds up to the difference."""

    clusters: int
    nodes: int
    by_state: dict[str, int]
    expected: int
    physical: int | None
    offered: int
    missing: tuple[Missing, ...]
    slots: SlotSums
    modes: tuple[ModeRow, ...]
    uncounted_nodes: int
    """Nodes whose physical GPUs nobody could count: they are in no sum."""
    as_of: datetime | None
    """Moment of the oldest reading among the clusters: everything shown is at least this fresh."""
    resources: tuple[dict[str, Any], ...] = field(default=())


def summary(nodes: QuerySet[Node]) -> Summary:
    """Sums over `nodes` (present ones). Three queries, whatever their number."""
    rows = list(
        nodes.values_list(
            "state", "reason", "physical", "expected", "offered", "mode", "slots_capacity", "slots_allocatable",
            "slots_requested", "slots_free",
        )
    )  # fmt: skip
    missing: Counter[tuple[str, str]] = Counter()
    missing_nodes: Counter[tuple[str, str]] = Counter()
    expected_total = offered_total = 0
    by_mode: dict[str, list[tuple]] = defaultdict(list)
    for state, reason, physical, expected, offered, mode, *slots in rows:
        by_mode[mode or "Unknown"].append((physical, *slots))
        expected = max(expected or 0, physical or 0)
        if not expected:
            continue
        expected_total += expected
        here = min(offered or 0, expected)
        offered_total += here
        if here < expected:
            key = (state, _missing_reason(state, reason))
            missing[key] += expected - here
            missing_nodes[key] += 1
    oldest = Cluster.objects.filter(removed_at__isnull=True).values_list("read_at", flat=True)
    read = list(oldest)
    return Summary(
        clusters=len(read),
        nodes=len(rows),
        by_state={state: sum(1 for row in rows if row[0] == state) for state in STATES},
        expected=expected_total,
        physical=_total(row[2] for row in rows),
        offered=offered_total,
        missing=tuple(
            Missing(state, reason, count, missing_nodes[state, reason])
            for (state, reason), count in sorted(missing.items(), key=lambda pair: (-pair[1], pair[0]))
        ),
        slots=SlotSums(*(_total(row[i] for row in rows) for i in range(6, 10))),
        modes=tuple(
            ModeRow(
                mode,
                len(found),
                _total(one[0] for one in found),
                SlotSums(*(_total(one[i] for one in found) for i in range(1, 5))),
            )
            for mode, found in sorted(by_mode.items(), key=lambda pair: -len(pair[1]))
        ),
        uncounted_nodes=sum(1 for row in rows if row[2] is None and not row[3]),
        as_of=min((at for at in read if at is not None), default=None),
        resources=tuple(
            dict(row)
            for row in NodeResource.objects.filter(node__in=nodes.order_by())
            .values("name", "kind")
            .annotate(
                nodes=Count("node"),
                capacity=Sum("capacity"),
                allocatable=Sum("allocatable"),
                requested=Sum("requested"),
                free=Sum("free"),
            )
            .order_by("-capacity", "name")
        ),
    )


_WORDS = {
    "cordoned": "Cordoned on purpose",
    "not_ready": "Kubelet is not ready",
    "none": "No slot is advertised",
    "partial": "Some slots are not allocatable",
    "unknown": "What the node offers is unknown",
    "full": "Cards are missing from the node",
}


def _missing_reason(state: str, reason: str) -> str:
    """Grouped by state, because the sentence of a node carries its own figures; the node's page has the sentence."""
    return _WORDS.get(state, reason or "Unknown")


def _total(values: Any) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
