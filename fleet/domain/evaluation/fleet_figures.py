"""Figures of many nodes: sums of their NodeFigures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from fleet.domain.devices.slots import ResourceSlots, Slots, free_slots
from fleet.domain.evaluation.figures import STATES, UNBLAMED, VERDICTS, NodeFigures
from fleet.domain.readiness.types import Verdict
from fleet.domain.readiness.wording import missing_words, rung_number


class MissingGpus(msgspec.Struct, frozen=True, kw_only=True):
    """Physical GPUs that are expected and not usable, by the verdict and the first broken rung of their node."""

    verdict: str
    broken_rung: str
    """Empty where no rung is the reason: excluded or starting nodes."""
    reason: str
    count: int
    nodes: int

    @property
    def blames_a_rung(self) -> bool:
        """Returns whether the rung distinguishes such nodes from others with the same verdict."""
        return self.verdict not in UNBLAMED


class NotAdvertised(msgspec.Struct, frozen=True, kw_only=True):
    """Physical GPUs that are expected and not advertised to the scheduler, by the state of their node."""

    state: str
    reason: str
    count: int
    nodes: int


class ModeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Slots of the nodes that are shared in one way."""

    mode: str
    nodes: int
    physical: int | None
    slots: Slots
    free_unusable: int | None = None
    """Free slots of nodes that are neither ready nor degraded: in no `slots.free`."""


class ResourceFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One extended resource or DRA device class, in slots, over the nodes that have it."""

    name: str
    kind: str
    nodes: int
    capacity: int | None
    allocatable: int | None
    requested: int | None
    free: int | None
    """Of usable nodes."""


class FleetFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over nodes. `usable` and `missing` add up to `expected`; likewise `advertised` and `not_advertised`."""

    nodes: int
    by_verdict: dict[str, int]
    """Every verdict, in order; 0 where no node has it. Likewise `by_state`."""
    by_state: dict[str, int]
    flapping: int | None
    """None, as `advertised` and `not_advertised`, where the figures of some node were not kept."""
    expected: int
    physical: int | None
    advertised: int | None
    usable: int
    degraded_usable: int
    """Of `usable`, those of degraded nodes."""
    missing: tuple[MissingGpus, ...]
    not_advertised: tuple[NotAdvertised, ...]
    slots: Slots
    free_unusable: int | None
    """As of each mode."""
    modes: tuple[ModeFigures, ...]
    resources: tuple[ResourceFigures, ...]
    uncounted_nodes: int
    """Nodes whose physical GPUs no source counts: they are in no sum of GPUs."""

    @property
    def missing_gpus(self) -> int:
        """Returns the physical GPUs that are expected and not usable."""
        return sum(row.count for row in self.missing)

    @property
    def missing_nodes(self) -> int:
        return sum(row.nodes for row in self.missing)

    @property
    def is_counted(self) -> bool:
        """Returns whether the sums of GPUs are known.

        False where there are nodes and no source counts the GPUs of any of them.
        """
        return not self.nodes or self.uncounted_nodes < self.nodes


def sum_nodes(nodes: Iterable[NodeFigures]) -> FleetFigures:
    """Returns the sums over these nodes.

    A sum is None where no node knows the figure; requested and free also where the past of some node was not kept.
    """
    rows = list(nodes)
    counted = [row for row in rows if row.expected]
    kept = all(row.are_kept for row in rows)
    missing: dict[tuple[str, str], list[int]] = defaultdict(list)
    not_advertised: dict[tuple[str, str], list[int]] = defaultdict(list)
    by_mode: dict[str, list[NodeFigures]] = defaultdict(list)
    usable = advertised_gpus = degraded = 0
    for row in rows:
        by_mode[row.mode or "Unknown"].append(row)
    for row in counted:
        expected = row.expected or 0
        good, to_hand_out = row.usable_of_expected, min(row.advertised or 0, expected)
        usable, advertised_gpus = usable + good, advertised_gpus + to_hand_out
        degraded += good if row.verdict == Verdict.DEGRADED else 0
        if good < expected:
            missing[row.verdict, row.blamed_rung].append(expected - good)
        if to_hand_out < expected:
            not_advertised[row.state, _NOT_ADVERTISED.get(row.state, "Unknown")].append(expected - to_hand_out)
    return FleetFigures(
        nodes=len(rows),
        by_verdict={verdict: sum(row.verdict == verdict for row in rows) for verdict in VERDICTS},
        by_state={state: sum((row.state or "unknown") == state for row in rows) for state in STATES},
        flapping=sum(row.flapping for row in rows) if kept else None,
        expected=sum(row.expected or 0 for row in counted),
        physical=_total(row.physical for row in rows),
        advertised=advertised_gpus if kept else None,
        usable=usable,
        degraded_usable=degraded,
        missing=tuple(
            MissingGpus(verdict=key[0], broken_rung=key[1], reason=missing_words(*key), count=sum(gpus), nodes=len(gpus))
            for key, gpus in sorted(missing.items(), key=_most_missing)
        ),
        not_advertised=tuple(
            NotAdvertised(state=key[0], reason=key[1], count=sum(gpus), nodes=len(gpus))
            for key, gpus in _largest_first(not_advertised if kept else {})
        ),
        slots=_sum_slots((row.slots, row.free, row.requests_kept) for row in rows),
        free_unusable=_free_unusable(rows),
        modes=tuple(
            ModeFigures(
                mode=mode,
                nodes=len(alike),
                physical=_total(row.physical for row in alike),
                slots=_sum_slots((row.slots, row.free, row.requests_kept) for row in alike),
                free_unusable=_free_unusable(alike),
            )
            for mode, alike in sorted(by_mode.items(), key=lambda pair: -len(pair[1]))
        ),
        resources=_sum_resources(rows),
        uncounted_nodes=sum(not row.is_counted for row in rows),
    )


_NOT_ADVERTISED = {
    "cordoned": "Cordoned on purpose",
    "not_ready": "Kubelet is not ready",
    "none": "No slot is advertised",
    "partial": "Some slots are not allocatable",
    "unknown": "Advertised slots are unknown",
    "full": "GPUs are missing from the node",
}
"""By state, because a node's own sentence contains its own figures."""


def _most_missing(group: tuple[tuple[str, str], list[int]]) -> tuple[int, int, int, int, str]:
    """Sorts broken before unknown, waiting and intended; among those the most GPUs, the worst verdict, the lowest rung first."""
    (verdict, rung), gpus = group
    kind, severity = _KIND_OF_MISSING.get(verdict, (1, 0))
    return kind, -sum(gpus), severity, rung_number(rung), rung


_KIND_OF_MISSING = {
    Verdict.NOT_READY.value: (0, 0),
    Verdict.DEGRADED.value: (0, 1),
    Verdict.READY.value: (0, 2),
    Verdict.UNKNOWN.value: (1, 0),
    Verdict.STARTING.value: (2, 0),
    Verdict.EXCLUDED.value: (3, 0),
}
"""A fault is read first, however many GPUs are only unproven."""


def _largest_first(groups: dict[tuple[str, str], list[int]]) -> list[tuple[tuple[str, str], list[int]]]:
    return sorted(groups.items(), key=lambda pair: (-sum(pair[1]), pair[0]))


def _sum_slots(rows: Iterable[tuple[Slots | ResourceSlots, int | None, bool]]) -> Slots:
    """Returns the sums of slots. Each row: the slots, those free that count, and whether requests were kept."""
    listed = list(rows)
    kept = all(kept for _, _, kept in listed)
    return Slots(
        capacity=_total(slots.capacity for slots, _, _ in listed),
        allocatable=_total(slots.allocatable for slots, _, _ in listed),
        requested=_total(slots.requested for slots, _, _ in listed) if kept else None,
        free=_total(free for _, free, _ in listed) if kept else None,
    )


def _free_unusable(rows: Iterable[NodeFigures]) -> int | None:
    """Returns the free slots of nodes that are not usable; None where no node knows its own, or its past was not kept."""
    listed = list(rows)
    return _total(row.free_unusable for row in listed) if all(row.requests_kept for row in listed) else None


def _sum_resources(rows: Iterable[NodeFigures]) -> tuple[ResourceFigures, ...]:
    """Returns the sums of each resource over the nodes that have it, the largest first."""
    groups: dict[tuple[str, str], list[tuple[ResourceSlots, int | None, bool]]] = defaultdict(list)
    for row in rows:
        for resource in row.resources:
            free = free_slots(resource.free)
            counted = free if free is None or row.is_usable else 0
            groups[resource.name, resource.kind].append((resource, counted, row.requests_kept))
    sum_resources = []
    for (name, kind), listed in groups.items():
        slots = _sum_slots(listed)
        sum_resources.append(
            ResourceFigures(
                name=name,
                kind=kind,
                nodes=len(listed),
                capacity=slots.capacity,
                allocatable=slots.allocatable,
                requested=slots.requested,
                free=slots.free,
            )
        )
    return tuple(sorted(sum_resources, key=lambda row: (row.capacity is not None, -(row.capacity or 0), row.name, row.kind)))


def _total(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
