"""What an approval would do: room before and after, and which other granted requests would no longer fit beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fleet.domain.asking import GRANTED
from fleet.domain.classes.asks import label_keys
from fleet.domain.classes.workload import WorkloadClass as Promise
from fleet.domain.placement.effect import after
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import headroom, place
from fleet.models import ClassRequest
from fleet.selectors import headroom as rooms
from fleet.selectors.requests import promised


@dataclass(frozen=True, slots=True)
class Harmed:
    """Another granted request whose missing replicas could land now, and could not beside the one asked for."""

    row: ClassRequest
    missing: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Effect:
    """Room in replicas of the request's own size."""

    asked: int
    """Replicas that would be added."""
    lands: int
    """Of them, as many as could land now."""
    before: int
    back: int
    """Room once broken nodes are back."""
    after: int
    owed: int
    """Replicas of the same class that are granted to others and do not run yet: they have a claim to the same room."""
    harmed: tuple[Harmed, ...]
    as_of: datetime | None

    @property
    def fits(self) -> bool:
        return self.lands >= self.asked


def effects(rows: Sequence[ClassRequest], now: datetime) -> dict[int, Effect]:
    """Request id → what granting it (or the change that waits) would do, for each by itself. One query beside the fleet's own.

    Every one of them costs a placement over its pools, so the caller pages.
    """
    if not rows:
        return {}
    here = rooms.stock(now)
    granted = [
        row
        for row in ClassRequest.objects.filter(state__in=GRANTED).select_related("team", "class_version__workload_class")
        if missing_of(row)
    ]
    counted: dict[Promise, int] = {}
    return {row.pk: _effect(row, here, granted, counted) for row in rows}


def missing_of(row: ClassRequest) -> int:
    """Replicas that were granted and do not run, as the newest check saw it; all of them before the first check."""
    found: int = row.latest_check.get("missing_replicas", row.replicas)
    return found


def added_by(row: ClassRequest) -> int:
    """Replicas that granting would add: all of a submitted request, what a change of size adds, nothing for more time."""
    if row.state in GRANTED:
        return max(0, (row.wanted_replicas or row.replicas) - row.replicas)
    return row.replicas


def _effect(row: ClassRequest, here: rooms.Stock, granted: Sequence[ClassRequest], counted: dict[Promise, int]) -> Effect:
    promise, asked = promised(row), added_by(row)
    requirements = [ask.requirement for ask in rooms.class_asks(promise, here)]
    room = headroom(requirements, here.fleet)
    placed = place(requirements, here.fleet, asked)
    then = after(here.fleet, placed, requirements, label_keys(here.pools)) if placed else here.fleet
    others = [other for other in granted if other.pk != row.pk]
    same = row.class_version.workload_class_id
    return Effect(
        asked=asked,
        lands=len(placed),
        before=room.replicas,
        back=room.back,
        after=headroom(requirements, then).replicas,
        owed=sum(missing_of(other) for other in others if other.class_version.workload_class_id == same),
        harmed=tuple(_harmed(others, here, then, counted)) if placed else (),
        as_of=here.as_of,
    )


def _harmed(others: Sequence[ClassRequest], here: rooms.Stock, then: Fleet, counted: dict[Promise, int]) -> list[Harmed]:
    found, later = [], {}
    for other in others:
        promise, missing = promised(other), missing_of(other)
        requirements = [ask.requirement for ask in rooms.class_asks(promise, here)]
        if promise not in counted:
            counted[promise] = headroom(requirements, here.fleet).replicas
        if promise not in later:
            later[promise] = headroom(requirements, then).replicas
        if later[promise] < missing <= counted[promise]:
            found.append(Harmed(other, missing, counted[promise], later[promise]))
    return found
