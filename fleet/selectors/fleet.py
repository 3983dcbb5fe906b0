"""The fleet in figures: the same selector answers the front page and the API."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, QuerySet, Sum

from fleet.domain.readiness.types import Verdict
from fleet.domain.readiness.words import missing_words
from fleet.models import Cluster, Node, NodeResource

STATES = ("full", "partial", "none", "not_ready", "cordoned", "unknown")
VERDICTS = tuple(verdict.value for verdict in Verdict)


@dataclass(frozen=True, slots=True)
class Missing:
    """Physical GPUs that are expected and not usable, by the verdict and the first broken rung of their node."""

    verdict: str
    broken_rung: str
    """Empty where no rung is to blame: excluded or starting nodes."""
    reason: str
    count: int
    nodes: int


@dataclass(frozen=True, slots=True)
class NotOffered:
    """Physical GPUs that are expected and not on offer to the scheduler, by the state of their node."""

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
    """What the fleet has: `usable` of `expected` physical GPUs, and `missing` adds up to the difference; likewise
    `offered` and `not_offered`."""

    clusters: int
    nodes: int
    by_verdict: dict[str, int]
    """Every verdict, in order; 0 where no node has it."""
    by_state: dict[str, int]
    flapping: int
    """Nodes that are marked as flapping, whatever their verdict."""
    expected: int
    physical: int | None
    usable: int
    missing: tuple[Missing, ...]
    offered: int
    not_offered: tuple[NotOffered, ...]
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
            "slots_requested", "slots_free", "verdict", "broken_rung", "usable", "flapping",
        )
    )  # fmt: skip
    missing: dict[tuple[str, str], list[int]] = defaultdict(list)
    not_offered: dict[tuple[str, str], list[int]] = defaultdict(list)
    expected_total = offered_total = usable_total = 0
    by_mode: dict[str, list[tuple]] = defaultdict(list)
    for state, reason, physical, expected, offered, mode, *slots, verdict, broken_rung, usable, _ in rows:
        by_mode[mode or "Unknown"].append((physical, *slots))
        expected = max(expected or 0, physical or 0)
        if not expected:
            continue
        expected_total += expected
        on_offer, good = min(offered or 0, expected), min(usable or 0, expected)
        offered_total += on_offer
        usable_total += good
        if on_offer < expected:
            not_offered[state, _not_offered_reason(state, reason)].append(expected - on_offer)
        if good < expected:
            missing[verdict, broken_rung if verdict not in (Verdict.EXCLUDED, Verdict.STARTING) else ""].append(expected - good)
    oldest = Cluster.objects.filter(removed_at__isnull=True).values_list("read_at", flat=True)
    read = list(oldest)
    return Summary(
        clusters=len(read),
        nodes=len(rows),
        by_verdict={verdict: sum(1 for row in rows if row[10] == verdict) for verdict in VERDICTS},
        by_state={state: sum(1 for row in rows if row[0] == state) for state in STATES},
        flapping=sum(1 for row in rows if row[13]),
        expected=expected_total,
        physical=_total(row[2] for row in rows),
        usable=usable_total,
        missing=tuple(
            Missing(verdict, rung, missing_words(verdict, rung), sum(cards), len(cards))
            for (verdict, rung), cards in _most(missing)
        ),
        offered=offered_total,
        not_offered=tuple(NotOffered(state, reason, sum(cards), len(cards)) for (state, reason), cards in _most(not_offered)),
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


def _most(groups: dict[tuple[str, str], list[int]]) -> list[tuple[tuple[str, str], list[int]]]:
    """The largest group first."""
    return sorted(groups.items(), key=lambda pair: (-sum(pair[1]), pair[0]))


def _not_offered_reason(state: str, reason: str) -> str:
    """Grouped by state, because the sentence of a node carries its own figures; the node's page has the sentence."""
    return _WORDS.get(state, reason or "Unknown")


def _total(values: Any) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
